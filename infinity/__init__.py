"""Infinity: differentiable models of physical systems that are solved rather than trained.

The parts are imported when they are first used, so that the shell answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import basis, closure, descent, fitting, io, models, plot, symbolic
    from .closure import Certificate, certify
    from .descent import (
        InfiniteDescent,
        Line,
        OpenModelWarning,
        PrecisionWarning,
        Tower,
        infinite_descent,
        resum,
        tower,
    )
    from .fitting import (
        AliasWarning,
        CategoryEffect,
        Fitted,
        MainEffect,
        OutsideWarning,
        Result,
        Sobol,
        derivative,
        fit,
        main_effect,
        sample_next,
        sobol,
    )
    from .io import load, save
    from .io.export import export
    from .models import AION, KHRONOS
    from .symbolic import Discovery, Expression, Separability, discover, separability

__version__ = "0.1.0"

# Where each public name lives; a part stands for itself.
_HOMES = {
    "AION": "models",
    "AliasWarning": "fitting",
    "CategoryEffect": "fitting",
    "Certificate": "closure",
    "Discovery": "symbolic",
    "Expression": "symbolic",
    "Fitted": "fitting",
    "InfiniteDescent": "descent",
    "KHRONOS": "models",
    "Line": "descent",
    "MainEffect": "fitting",
    "OpenModelWarning": "descent",
    "OutsideWarning": "fitting",
    "PrecisionWarning": "descent",
    "Result": "fitting",
    "Separability": "symbolic",
    "Sobol": "fitting",
    "Tower": "descent",
    "certify": "closure",
    "derivative": "fitting",
    "discover": "symbolic",
    "export": "io.export",
    "fit": "fitting",
    "infinite_descent": "descent",
    "load": "io",
    "main_effect": "fitting",
    "resum": "descent",
    "sample_next": "fitting",
    "save": "io",
    "separability": "symbolic",
    "sobol": "fitting",
    "tower": "descent",
}

__all__ = [
    "AION",
    "KHRONOS",
    "AliasWarning",
    "CategoryEffect",
    "Certificate",
    "Discovery",
    "Expression",
    "Fitted",
    "InfiniteDescent",
    "Line",
    "MainEffect",
    "OpenModelWarning",
    "OutsideWarning",
    "PrecisionWarning",
    "Result",
    "Separability",
    "Sobol",
    "Tower",
    "basis",
    "certify",
    "closure",
    "derivative",
    "descent",
    "discover",
    "export",
    "fit",
    "fitting",
    "infinite_descent",
    "io",
    "load",
    "main_effect",
    "models",
    "plot",
    "resum",
    "sample_next",
    "save",
    "separability",
    "sobol",
    "symbolic",
    "tower",
]


# Parts that need an extra: there when asked for, but not in a star import, which must work without them (and must not hide scikit-learn).
_OPTIONAL = ("sklearn",)


def __getattr__(name: str) -> Any:
    if name not in __all__ and name not in _OPTIONAL:
        raise AttributeError(f"module 'infinity' has no attribute {name!r}")
    part = importlib.import_module(f".{_HOMES.get(name, name)}", __name__)
    value = getattr(part, name) if name in _HOMES else part
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_OPTIONAL})
