"""Right-hand sides of ordinary differential equations from measured trajectories."""

from .discover import discover_dynamics
from .result import Dynamics, RightHandSide

__all__ = ["Dynamics", "RightHandSide", "discover_dynamics"]
