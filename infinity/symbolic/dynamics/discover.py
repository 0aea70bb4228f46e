r"""`inf.discover_dynamics`: trajectories in, ordinary differential equations out.

    dz_s/dt = sum_p theta_p(z, u) xi_ps,    few xi_ps other than zero

A smooth curve through each trajectory, with the smoothness that the evidence asks for, is where it starts; the terms are then chosen, and their
coefficients fitted, by the likelihood of the measured values themselves (`likelihood`, `selection`): nothing is ever differentiated.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..algebra import ZERO, add, mul
from ..expression import Expression
from .likelihood import Fitted, Likelihood
from .result import Dynamics
from .samples import LEAST, Samples, checked
from .selection import start_of, supports
from .smoothing import Smooth, smooth
from .terms import Library, make_library

# The part of each trajectory that is kept to judge.
KEPT = 0.2
# How much worse on unseen samples, and how much worse than a smooth curve, equations may be that are called found.
WORSE = 1.5
ROUNDING = 1e-6
CLOSE = 0.1


def discover_dynamics(
    t: Any,
    states: Any,
    names: Sequence[str] | None = None,
    *,
    controls: Any = None,
    control_names: Sequence[str] | None = None,
    degree: int = 2,
    functions: Sequence[str] = ("sin", "cos"),
    terms: Sequence[str] = (),
    known: Mapping[str, str] | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> Dynamics:
    r"""Find the equations of motion of measured trajectories.

    **Arguments:**

    - `t`: times `(N,)` that increase, as they come, not only even ones; `states`: measurements `(N, S)`. Lists of both for several trajectories.
    - `names` of the states. `controls` `(N, C)` that are known without noise, joined by cubic splines, and `control_names`.
    - `degree`: the highest total power of states and controls in a term; `functions` of one of them; further `terms` as text, such as `"x/(1 + x)"`.
    - `known`: what is known of a state's equation, `{"x": "10*(y - x)"}`; it stays as it is, and the terms that are found are added to it.
    - `progress`: called with a dictionary at each step.

    **Returns:** a `Dynamics`.

    **Raises:** `ValueError` that names the trajectory, row, column or argument: fewer than 12 samples in a trajectory, times that do not increase, numbers
    that are not finite, a state that is constant, a function that is not known, and text that is no formula.

    >>> import numpy as np, infinity as inf
    >>> t = np.linspace(0, 6, 200)
    >>> motion = np.stack([np.cos(2 * t), -2 * np.sin(2 * t)], axis=1)
    >>> found = inf.discover_dynamics(t, motion, ["x", "v"], functions=())
    >>> [str(e) for e in found.equations]
    ['dx/dt = 1.0*v', 'dv/dt = -4.0*x']
    >>> np.round(found.predict([0.0, np.pi / 4], [1.0, 0.0])[-1], 6).tolist()
    [0.0, -2.0]
    """
    samples, found_names, driven = checked(t, states, names, controls, control_names)
    library = make_library((*found_names, *driven), samples.y.shape[1], degree, functions, terms, known)
    _check_values(library, samples)
    trace: list[str] = []

    def say(text: str) -> None:
        trace.append(text)
        if progress is not None:
            progress({"stage": text})

    curves = [smooth(samples.t[part], samples.y[part]) for part in samples.parts]
    say(f"smooth curves: noise {', '.join(f'{v:.2g}' for v in np.mean([curve.noise for curve in curves], axis=0))}")
    rows = min(part.stop - part.start for part in samples.parts)
    seen, unseen = samples.split(KEPT) if rows * KEPT >= LEAST / 2 and rows * (1 - KEPT) >= LEAST else (samples, None)
    rivals = supports(library, seen, start_of(library, seen, curves), say)
    columns = (*found_names, *driven)
    if not rivals:
        blank = tuple(Expression(ZERO, (), columns, f"d{name}/dt") for name in found_names)
        message = "no equations are found: the terms explode on the way from sample to sample; measure more often, or allow other terms"
        return Dynamics(blank, found_names, driven, tuple(curves[0].noise.tolist()), False, message, {}, tuple(trace))
    scale = np.std(samples.y, axis=0)
    judged = [(fitted, _unseen(library, unseen, curves, fitted, scale)) for fitted in rivals]
    least = min((error for _, error in judged if np.isfinite(error)), default=float("inf"))
    chosen, error = next((pair for pair in judged if pair[1] <= max(1.05 * least, ROUNDING)), judged[0])
    say(f"{len(chosen.places[0])} terms chosen among {len(rivals)} rivals")
    whole = chosen if unseen is None else _refitted(library, samples, curves, chosen)
    found, message = _verdict(whole, scale, error, curves, found_names)
    rest = (found_names, driven, tuple(whole.noise.tolist()), found, message)
    result = Dynamics(_written(library, whole, found_names, columns), *rest, {}, tuple(trace))
    if unseen is None:
        return result
    blind = Dynamics(_written(library, chosen, found_names, columns), *rest, {}, ())
    metrics = {"heldout": error, "horizon": _horizon(blind, unseen, curves, scale)}
    return Dynamics(result.equations, *rest, metrics, tuple(trace))


def _check_values(library: Library, samples: Samples) -> None:
    with np.errstate(all="ignore"):
        values = library.values(np.concatenate([samples.y, samples.u], axis=1))
    if not np.all(np.isfinite(values)):
        row, term = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"the term {term + 1} of the library has no finite value at row {row + 1}; leave out terms and functions that the states do not allow"
        )


def _nodes(curves: list[Smooth], samples: Samples) -> np.ndarray:
    return np.concatenate([curve(samples.t[part]) for curve, part in zip(curves, samples.parts, strict=True)])


def _unseen(library: Library, unseen: Samples | None, curves: list[Smooth], fitted: Fitted, scale) -> float:
    """The error on the ends of the trajectories, divided by the deviation, where only the states at their beginning are fitted."""
    if unseen is None:
        return float("nan")
    none = (np.zeros(0, int), np.zeros(0, int))
    likelihood = Likelihood(library, unseen)
    judged = likelihood.fit(fitted.coefficients, none, _nodes(curves, unseen), fitted.noise, fitted.coefficients, 1)
    if judged is None or not judged.converged:
        return float("inf")
    return _relative(unseen.y - judged.nodes, scale)


def _relative(off: np.ndarray, scale: np.ndarray) -> float:
    return float(np.sqrt(np.mean((off / np.maximum(scale, 1e-300)) ** 2)))


def _refitted(library: Library, samples: Samples, curves: list[Smooth], chosen: Fitted) -> Fitted:
    """The chosen terms with constants of all samples."""
    fitted = Likelihood(library, samples).fit(
        chosen.coefficients, chosen.places, _nodes(curves, samples), chosen.noise, rounds=4
    )
    return chosen if fitted is None else fitted


def _written(library: Library, fitted: Fitted, target_names: tuple[str, ...], names: tuple[str, ...]):
    """An expression for each state."""
    errors = np.sqrt(np.diag(fitted.covariance))
    equations = []
    for s, name in enumerate(target_names):
        here = np.flatnonzero(fitted.places[1] == s)
        rows = fitted.places[0][here]
        parts = [mul(("c", k), library.terms[p]) for k, p in enumerate(rows)]
        parts += [library.terms[p] for p, state in library.known if state == s]
        tree = add(*parts) if parts else ZERO
        constants = tuple(fitted.coefficients[rows, s].tolist())
        equations.append(Expression(tree, constants, names, f"d{name}/dt", tuple(errors[here].tolist())))
    return tuple(equations)


def _horizon(result: Dynamics, unseen: Samples, curves: list[Smooth], scale: np.ndarray) -> float:
    """For how long the equations alone stay close to the measurements, on the end where that is shortest."""
    times = []
    for part, curve in zip(unseen.parts, curves, strict=True):
        t, y = unseen.t[part], unseen.y[part]
        path = result.predict(t, curve(t[:1])[0], unseen.u[part] if result.controls else None)
        allowed = CLOSE * scale + 3 * np.array(result.noise)
        with np.errstate(invalid="ignore"):
            far = ~np.all(np.abs(path - y) <= allowed, axis=1)
        times.append(float(t[np.argmax(far)] - t[0]) if np.any(far) else float(t[-1] - t[0]))
    return min(times)


def _verdict(whole: Fitted, scale: np.ndarray, error: float, curves: list[Smooth], names) -> tuple[bool, str]:
    smoothness = np.sqrt(np.mean([curve.noise**2 for curve in curves], axis=0))
    seen = float(np.sqrt(np.mean((whole.noise / scale) ** 2)))
    if not whole.converged:
        return False, "no equations are found: the fit of the trajectories did not come to rest"
    worse = whole.noise > np.maximum(WORSE * smoothness, ROUNDING * scale)
    if np.any(worse):
        s = int(np.argmax(whole.noise / np.maximum(smoothness, 1e-300)))
        return False, (
            f"no equations are found: they miss {names[s]!r} by {whole.noise[s]:.2g}, a smooth curve by {smoothness[s]:.2g}; "
            "a term is missing from the library, a state is not measured, or the system has noise of its own"
        )
    if np.any(whole.noise > 0.5 * scale):
        s = int(np.argmax(whole.noise / scale))
        return False, f"no equations are found: most of {names[s]!r} is noise"
    if error > max(WORSE * seen, ROUNDING):
        return False, f"no equations are found: unseen ends are missed by {error:.2g}, the rest by {seen:.2g}"
    return True, f"equations are found: they leave {seen:.2g} of the deviation, as much as a smooth curve does or less"
