r"""The likelihood of trajectories, by Gauss and Newton with a node at every sample.

    y_i = X_i + noise,   noise ~ N(0, diag sigma^2),     X_{i+1} = phi_i(X_i; xi)

Linearised at nodes `Z` and coefficients, with `q = y - Z`, the nodes are eliminated exactly: what is left is a generalised least-squares problem

    e_i = q_{i+1} - Phi_i q_i + Z_{i+1} - phi_i = G_i d xi + w_i,    cov(w) = M = A diag(sigma^2) A^T,   (A x)_i = x_{i+1} - Phi_i x_i

that is, the equations in integral form over each interval, with the correlation that the noise of shared samples brings. `M` is block tridiagonal, so
whitening by its factor costs `O(N S^3)`. Repeated to convergence it is the maximum of the likelihood of whole trajectories, chaotic ones too, since no
integration is longer than an interval (multiple shooting: Bock 1983).
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cholesky_banded, get_lapack_funcs

from .flow import enough_steps, flow
from .samples import Samples
from .terms import Library

ITERATIONS = 20
# Noise below this part of a state's deviation is taken for rounding.
ROUNDING = 1e-9
# The integration error of an interval as a part of the noise.
PRECISE = 1e-3


@dataclasses.dataclass(frozen=True)
class Linearised:
    """Whitened equations `(n S,)`, their sensitivities `(n S, K)` and what brings back the nodes."""

    e: Float[np.ndarray, " m"]
    X: Float[np.ndarray, "m K"]
    factor: Float[np.ndarray, "w m"]
    Phi: Float[np.ndarray, "n S S"]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """Coefficients `(P, S)`, those that are free as `places`, their covariance `(K, K)`, nodes, noise `(S,)`, and whether the steps came to rest."""

    coefficients: Float[np.ndarray, "P S"]
    places: tuple[Int[np.ndarray, " K"], Int[np.ndarray, " K"]]
    covariance: Float[np.ndarray, "K K"]
    nodes: Float[np.ndarray, "N S"]
    noise: Float[np.ndarray, " S"]
    converged: bool


class Likelihood:
    """The likelihood of the right-hand sides `theta(z, u) xi` given some samples."""

    def __init__(self, library: Library, samples: Samples):
        self.library, self.samples = library, samples
        self.intervals, self.left, self.right = samples.intervals, samples.left, samples.right
        self.scale = np.std(samples.y, axis=0)
        self.steps = 1

    def linearised(self, coefficients, nodes, noise, places) -> Linearised | None:
        """The whitened equations at nodes and coefficients; `None` where the flow is not finite."""
        phi, Phi, G = flow(self.library, coefficients, nodes[self.left], self.intervals, places, self.steps)
        q = self.samples.y - nodes
        if not (np.all(np.isfinite(phi)) and np.all(np.isfinite(Phi)) and np.all(np.isfinite(G))):
            return None
        e = q[self.right] - np.einsum("nsr,nr->ns", Phi, q[self.left]) + nodes[self.right] - phi
        try:
            factor = cholesky_banded(self._covariance(Phi, noise), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return None
        white = _solve(factor, np.concatenate([e.reshape(-1, 1), G.reshape(e.size, G.shape[2])], axis=1), "N")
        return Linearised(white[:, 0], white[:, 1:], factor, Phi)

    def _covariance(self, Phi: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """`M` in lower banded form, `(2 S, n S)`."""
        n, S, _ = Phi.shape
        variance = noise**2
        diagonal = np.einsum("nsr,r,ntr->nst", Phi, variance, Phi) + np.diag(variance)
        joined = self.left[1:] == self.right[:-1]
        below = -Phi[1:] * variance * joined[:, None, None]
        band = np.zeros((2 * S, n, S))
        for row in range(S):
            for column in range(S):
                if row >= column:
                    band[row - column, :, column] = diagonal[:, row, column]
                band[S + row - column, :-1, column] = below[:, row, column]
        return band.reshape(2 * S, n * S)

    def moved(self, at: Linearised, nodes, noise, residual) -> np.ndarray:
        """How far the nodes are from where the linearised equations want them."""
        pull = _solve(at.factor, residual[:, None], "T").reshape(-1, nodes.shape[1])
        back = np.zeros_like(nodes)
        back[self.right] += pull
        back[self.left] -= np.einsum("nsr,ns->nr", at.Phi, pull)
        return self.samples.y - nodes - noise**2 * back

    def chosen_steps(self, coefficients, nodes, noise) -> None:
        """Take as many steps an interval as the noise asks for."""
        tolerance = np.maximum(PRECISE * noise, 1e-13 * self.scale)
        self.steps = max(
            self.steps, enough_steps(self.library, coefficients, nodes[self.left], self.intervals, tolerance)
        )

    def fit(self, coefficients, places, nodes, noise, fixed=None, rounds: int = 3) -> Fitted | None:
        """Maximise the likelihood over the coefficients at `places`, the nodes and the noise, from where they are; `None` where that leads nowhere.

        Other coefficients are `fixed`, by default to what the library says.
        """
        keep = np.zeros(coefficients.shape, bool)
        keep[places] = True
        now, Z, sigma = np.where(keep, coefficients, self.library.fixed if fixed is None else fixed), nodes, noise
        N, S = nodes.shape
        result = None
        for _ in range(rounds):
            self.chosen_steps(now, Z, sigma)
            result = self._newton(now, places, Z, sigma)
            if result is None:
                return None
            now, Z = result.coefficients, result.nodes
            freedom = max(N - len(self.samples.starts) - len(places[0]) / S, 1.0)
            left = np.sqrt(np.sum((self.samples.y - Z) ** 2, axis=0) / freedom)
            new = np.maximum(left, ROUNDING * self.scale)
            settled = np.all(np.abs(np.log(new / sigma)) < 0.05)
            sigma = new
            result = dataclasses.replace(result, noise=sigma)
            if settled:
                break
        return result

    def _newton(self, now, places, Z, sigma) -> Fitted | None:
        at = self.linearised(now, Z, sigma, places)
        if at is None:
            return None
        converged, K = False, len(places[0])
        for _ in range(ITERATIONS):
            scale = np.linalg.norm(at.X, axis=0)
            safe = np.where(scale > 0, scale, 1.0)
            step, inverse = np.zeros(K), np.zeros((K, K))
            if K:
                U, s, V = np.linalg.svd(at.X / safe, full_matrices=False)
                kept = s > 1e-10 * s[0]
                inverse = V[kept].T / s[kept]
                step = inverse @ (U.T[kept] @ at.e) / safe
            residual = at.e - at.X @ step
            shift = self.moved(at, Z, sigma, residual)
            before, length, trial, moved = float(residual @ residual), 1.0, None, now
            for _ in range(6):
                moved = now.copy()
                moved[places] += length * step
                trial = self.linearised(moved, Z + length * shift, sigma, places)
                if trial is not None and _norm(trial) <= 1.5 * before + 3.0 * at.e.size:
                    break
                trial, length = None, length / 4
            if trial is None:
                break
            now, Z, at = moved, Z + length * shift, trial
            error = np.sqrt(np.sum(inverse**2, axis=1)) / safe
            small = np.all(np.abs(step) <= 1e-3 * error + 1e-13 * np.abs(now[places]))
            if length == 1 and small and np.all(np.abs(shift) <= 1e-2 * sigma + 1e-12 * self.scale):
                converged = True
                break
        scale = np.linalg.norm(at.X, axis=0)
        safe = np.where(scale > 0, scale, 1.0)
        covariance = (
            np.linalg.pinv((at.X / safe).T @ (at.X / safe), hermitian=True) / np.outer(safe, safe)
            if K
            else np.zeros((0, 0))
        )
        return Fitted(now, places, covariance, Z, sigma, converged)


def _norm(at: Linearised) -> float:
    """What the best coefficients would leave of the equations."""
    Q = np.linalg.qr(at.X)[0] if at.X.shape[1] else np.zeros((at.e.size, 0))
    rest = at.e - Q @ (Q.T @ at.e)
    return float(rest @ rest)


def _solve(factor: np.ndarray, right: np.ndarray, which: str) -> np.ndarray:
    """`L^-1 right` or `L^-T right` for the banded factor."""
    (tbtrs,) = get_lapack_funcs(("tbtrs",), (factor,))
    solution, info = tbtrs(factor, np.asfortranarray(right), uplo="L", trans=which)
    if info:
        raise np.linalg.LinAlgError("a whitening factor is singular")
    return solution
