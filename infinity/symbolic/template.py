r"""What is known of a formula beforehand: a template with one place, written `?`, for what is not.

    y = T(f(x), x)    ->    z_n = T^{-1}(y_n, x_n),   weights (dy/dz)^2,    f is searched for z, put back, and judged on y

A known term is `"m*g*h + ?"`, a known factor `"exp(-t)*?"`, a known outer function `"sqrt(?)"`. Numbers of a template stay as they are.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from .candidates import Candidate, Data, best_first, polished
from .parse import read_exact
from .tree import Tree, evaluate, exact, indices, replaced, walk

PLACE = "what_is_searched"


def read_template(text: str, names: Sequence[str]) -> Tree:
    """The tree of a template; the searched part is the input after the last one.

    **Raises:** `ValueError` where `?` does not stand in it once, under functions that can be undone.
    """
    if not isinstance(text, str) or text.count("?") != 1:
        raise ValueError(f"template is {text!r}; expected a formula in which '?' stands once, for what is searched")
    tree = read_exact(text.replace("?", PLACE), [*names, PLACE])
    ways = {"add", "mul", "exp", "log"}
    for node in walk(tree):
        if node[0] not in ("x", "c", "q") and len(names) in indices(node, "x"):
            fraction = exact(node[2]) if node[0] == "pow" else None
            if node[0] not in ways and (fraction is None or fraction == 0 or len(names) not in indices(node[1], "x")):
                raise ValueError(
                    f"template {text!r} has '?' under {node[0]!r}; it can stand in sums, products, powers, exp and log"
                )
    return tree


def undone(tree: Tree, place: int, data: Data) -> Data | None:
    """The data of the searched part; `None` where the template cannot give these values.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.template import read_template, undone
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> np.round(undone(read_template("2*x + exp(?)", ["x"]), 1, Data((x,), 2 * x + np.exp(x**2))).y, 9).tolist()
    [1.0, 4.0, 9.0]
    """
    z, weights = data.y, np.ones_like(data.y) if data.weights is None else data.weights
    with np.errstate(all="ignore"):
        while tree != ("x", place):
            inner = next(part for part in tree[1:] if place in indices(part, "x"))
            rest = [np.asarray(evaluate(part, data.columns, ()), float) for part in tree[1:] if part is not inner]
            z, slope = _step(tree, z, rest)
            weights, tree = weights * slope**2, inner
    if not (np.all(np.isfinite(z)) and np.all(np.isfinite(weights)) and np.all(weights > 0)):
        return None
    plain = data.weights is None and np.ptp(weights) <= 1e-12 * np.max(weights)
    return Data(
        data.columns,
        np.broadcast_to(z, data.y.shape).astype(float),
        None if plain else np.broadcast_to(weights, data.y.shape),
    )


def _step(tree: Tree, y: Float[np.ndarray, " N"], rest: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The argument of one node for its value `y`, and the slope of the value there."""
    word = tree[0]
    if word == "add":
        return y - sum(rest), np.ones_like(y)
    if word == "mul":
        factor = np.prod(np.broadcast_arrays(*rest, y)[:-1], axis=0)
        return y / factor, factor
    if word == "exp":
        return np.log(y), y
    if word == "log":
        return np.exp(y), np.exp(-y)
    n = float(exact(tree[2]) or 1)
    z = np.where(y >= 0, np.abs(y) ** (1 / n), -(np.abs(y) ** (1 / n)) if n % 2 == 1 else np.nan)
    return z, n * y / z


def with_template(tree: Tree, data: Data, place: int, solve: Callable[[Data], list[Candidate]]) -> list[Candidate]:
    """Candidates of the whole formula: the searched part put into its place, refined and judged on the measurements.

    **Raises:** `ValueError` where the template has no inverse at some row.
    """
    inner = undone(tree, place, data)
    if inner is None:
        raise ValueError(
            "the template cannot give the target at every row, whatever '?' is; its logarithm, root or quotient does not exist there"
        )
    if np.ptp(inner.y) == 0:
        found = [polished(("c", 0), [float(inner.y[0])], inner, "constant")]
    else:
        found = list(solve(inner))
    return best_first(
        polished(
            replaced(tree, {("x", place): candidate.tree}), candidate.constants, data, f"template, {candidate.origin}"
        )
        for candidate in found
        if candidate is not None
    )
