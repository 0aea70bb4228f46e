"""Infinity: differentiable models of physical systems that are solved rather than trained.

The parts are imported when they are first used, so that the shell answers at once.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import basis, closure, descent, fitting, inverse, io, models, pde, plot, symbolic
    from .cache import keep_compiled
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
        Comparison,
        Fitted,
        MainEffect,
        OutsideWarning,
        Result,
        Sobol,
        compare,
        derivative,
        fit,
        main_effect,
        sample_next,
        sobol,
    )
    from .inverse import (
        Calibration,
        Extremum,
        LevelSet,
        Roots,
        calibrate,
        level_set,
        maximise,
        minimise,
        roots,
    )
    from .io import load, save
    from .io.export import export
    from .models import AION, INN, KHRONOS, HiDeNN, Oblique
    from .pde import Solution, solve
    from .symbolic import (
        Discovery,
        Dynamics,
        Expression,
        Separability,
        Surface,
        discover,
        discover_dynamics,
        discover_surface,
        separability,
    )

__version__ = "0.1.0"

# Where each public name lives; a part stands for itself.
_HOMES = {
    "AION": "models",
    "AliasWarning": "fitting",
    "Calibration": "inverse",
    "CategoryEffect": "fitting",
    "Certificate": "closure",
    "Comparison": "fitting",
    "Extremum": "inverse",
    "Discovery": "symbolic",
    "Dynamics": "symbolic",
    "Expression": "symbolic",
    "Fitted": "fitting",
    "HiDeNN": "models",
    "INN": "models",
    "InfiniteDescent": "descent",
    "KHRONOS": "models",
    "LevelSet": "inverse",
    "Line": "descent",
    "MainEffect": "fitting",
    "Oblique": "models",
    "OpenModelWarning": "descent",
    "OutsideWarning": "fitting",
    "PrecisionWarning": "descent",
    "Result": "fitting",
    "Roots": "inverse",
    "Separability": "symbolic",
    "Sobol": "fitting",
    "Solution": "pde",
    "Surface": "symbolic",
    "Tower": "descent",
    "calibrate": "inverse",
    "certify": "closure",
    "compare": "fitting",
    "derivative": "fitting",
    "discover": "symbolic",
    "discover_dynamics": "symbolic",
    "discover_surface": "symbolic",
    "export": "io.export",
    "fit": "fitting",
    "infinite_descent": "descent",
    "keep_compiled": "cache",
    "level_set": "inverse",
    "load": "io",
    "main_effect": "fitting",
    "maximise": "inverse",
    "minimise": "inverse",
    "resum": "descent",
    "roots": "inverse",
    "sample_next": "fitting",
    "save": "io",
    "separability": "symbolic",
    "sobol": "fitting",
    "solve": "pde",
    "tower": "descent",
}

__all__ = [
    "AION",
    "INN",
    "KHRONOS",
    "AliasWarning",
    "Calibration",
    "CategoryEffect",
    "Certificate",
    "Comparison",
    "Discovery",
    "Dynamics",
    "Expression",
    "Extremum",
    "Fitted",
    "HiDeNN",
    "InfiniteDescent",
    "LevelSet",
    "Line",
    "MainEffect",
    "Oblique",
    "OpenModelWarning",
    "OutsideWarning",
    "PrecisionWarning",
    "Result",
    "Roots",
    "Separability",
    "Sobol",
    "Solution",
    "Surface",
    "Tower",
    "basis",
    "calibrate",
    "certify",
    "closure",
    "compare",
    "derivative",
    "descent",
    "discover",
    "discover_dynamics",
    "discover_surface",
    "export",
    "fit",
    "fitting",
    "infinite_descent",
    "inverse",
    "io",
    "keep_compiled",
    "level_set",
    "load",
    "main_effect",
    "maximise",
    "minimise",
    "models",
    "pde",
    "plot",
    "resum",
    "roots",
    "sample_next",
    "save",
    "separability",
    "sobol",
    "solve",
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
