r"""Whether what a formula leaves of the measurements is chance.

    F = (|r|^2 - |r - P r|^2) / q  :  |r - P r|^2 / (N - K - q)

`r` are the residuals with the slopes of the `K` constants projected out, `P` projects on `q` polynomials of the inputs. Residuals of a law are chance, and F
is one by its distribution; what a lookalike misses is a smooth function of the inputs, however small it is, and F is large. Few polynomials see what is
smooth more sharply, many see more of it: both are asked. Noise that hides the difference from the law hides it from this test too.
"""

import numpy as np

from .atoms import make_atoms
from .candidates import Candidate, Data
from .refine import residual

# The numbers of polynomials that are asked.
POLYNOMIALS = (30, 120)


def chance_of_residuals(candidate: Candidate, data: Data) -> float:
    """The probability that a law leaves residuals that polynomials of the inputs explain as well as these.

    >>> import numpy as np
    >>> from infinity.symbolic.candidates import Data, polished
    >>> from infinity.symbolic.parse import parse
    >>> from infinity.symbolic.residuals import chance_of_residuals
    >>> t = np.linspace(0.1, 1.0, 60)
    >>> data = Data((t,), np.sin(t) + 1e-6 * np.random.default_rng(0).normal(size=60))
    >>> law, lookalike = (polished(*parse(text, ["t"]), data, "") for text in ("1.0*sin(t)", "1.0*t + 0.1*t^3"))
    >>> chance_of_residuals(law, data) > 1e-4, chance_of_residuals(lookalike, data) > 1e-4
    (True, False)
    """
    import scipy.stats

    N, K = len(data.y), len(candidate.constants)
    root = np.ones(N) if data.weights is None else np.sqrt(data.weights)
    with np.errstate(all="ignore"):
        r, J = residual(candidate.tree, candidate.constants, data.columns, data.y, root)
    if not np.all(np.isfinite(J)):
        return 1.0
    chances = []
    many = min(max(POLYNOMIALS), N // 4)
    for most in (many, *(few for few in POLYNOMIALS if 2 * few <= many)):
        A = make_atoms(data.columns, "polynomial", most).values * root[:, None]
        free = N - K - A.shape[1]
        if free < 1:
            continue
        Q = np.linalg.qr(_scaled(np.concatenate([J, A], axis=1)))[0]
        e = r - Q[:, :K] @ (Q[:, :K].T @ r)
        explained = float(np.sum((Q[:, K:].T @ e) ** 2))
        left = float(e @ e) - explained
        chances.append(float(scipy.stats.f.sf(explained / A.shape[1] / max(left / free, 1e-300), A.shape[1], free)))
    return min(1.0, len(chances) * min(chances)) if chances else 1.0


def _scaled(columns: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(columns, axis=0)
    return columns / np.where(size > 0, size, 1.0)
