r"""The plainest laws: `T(y) = a prod x_d^{p_d}` for a few outer functions `T`, by least squares of logarithms.

Exponents are snapped to simple fractions together and one by one, constants are refined on the measurements themselves.
"""

import numpy as np

from .algebra import mul, power
from .candidates import Candidate, Data, best_first, polished
from .operators import Allowed, permits, permitted
from .simplify import nearest_fractions, simplified
from .sparse import OUTER
from .tree import Tree, number


def find_monomials(data: Data, allowed: Allowed = None) -> list[Candidate]:
    """Search laws of powers; inputs that are not positive have no power.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data
    >>> from infinity.symbolic.monomials import find_monomials
    >>> x = np.random.default_rng(0).uniform(1, 2, (2, 50))
    >>> find_monomials(Data(tuple(x), np.arcsin(0.5 * x[0] / x[1] ** 2)))[0].mean_square < 1e-20
    True
    """
    positive = [d for d, column in enumerate(data.columns) if np.min(column) > 0]
    if not positive:
        return []
    L = np.stack([np.ones(len(data.y)), *(np.log(data.columns[d]) for d in positive)], axis=1)
    found: list[Candidate | None] = []
    for T in OUTER:
        if (
            T.name in ("1/y", "y^2", "1/y^2", "sqrt y")
            or not T.fits(data.y)
            or not permits(allowed, T.inverse(("x", 0)))
        ):
            continue
        with np.errstate(all="ignore"):
            z = T.forward(data.y)
            sign = float(np.sign(np.median(z)))
            good = sign * z > 0
            slope = np.where(good, z / T.slope(data.y), 0.0)
        if good.mean() < 0.8 or not np.all(np.isfinite(slope)):
            continue
        # Errors of y by those of log z.
        w = np.abs(slope) * (1.0 if data.weights is None else np.sqrt(data.weights))
        c = np.linalg.lstsq(L[good] * w[good, None], np.log(sign * z[good]) * w[good], rcond=1e-12)[0]
        for near in (0.06, 0.15):
            parts, values = [], [sign * float(np.exp(c[0]))]
            for d, exponent in zip(positive, c[1:].tolist(), strict=True):
                close = [f for f in nearest_fractions(exponent, 1) if abs(float(f) - exponent) < near]
                if close:
                    parts.append(power(("x", d), number(close[0])))
                else:
                    values.append(exponent)
                    parts.append(("pow", ("x", d), ("c", len(values) - 1)))
            tree: Tree = T.inverse(mul(("c", 0), *parts))
            found.append(polished(tree, values, data, f"powers, {T.name}"))
    best = best_first(found, 3)
    return permitted(allowed, best_first([*best, *(simplified(candidate, data) for candidate in best[:1])]))
