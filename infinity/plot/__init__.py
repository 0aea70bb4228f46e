"""One function a picture; each takes `ax=` and returns it. Matplotlib is imported when the first picture is drawn."""

from .factors import factors, partial_dependence
from .figure import new_axes
from .forecast import forecast, series_axes
from .front import front
from .interactions import interactions
from .loss_plane import loss_plane
from .parity import parity
from .sobol import sobol
from .towers import towers

__all__ = [
    "factors",
    "forecast",
    "front",
    "interactions",
    "loss_plane",
    "new_axes",
    "parity",
    "partial_dependence",
    "series_axes",
    "sobol",
    "towers",
]
