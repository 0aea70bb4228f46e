"""One function a picture; each takes `ax=` and returns it. Matplotlib is imported when the first picture is drawn."""

from .comparison import comparison
from .convergence import convergence
from .factors import factors, partial_dependence
from .field import field
from .figure import new_axes
from .forecast import forecast, series_axes
from .front import front
from .functions import functions
from .interactions import interactions
from .level_set import level_set
from .loss_plane import loss_plane
from .parity import parity
from .sobol import sobol
from .towers import towers

__all__ = [
    "comparison",
    "convergence",
    "factors",
    "field",
    "forecast",
    "front",
    "functions",
    "interactions",
    "level_set",
    "loss_plane",
    "new_axes",
    "parity",
    "partial_dependence",
    "series_axes",
    "sobol",
    "towers",
]
