r"""Quadratic penalties whose strengths are chosen by the evidence.

    min_theta  L(theta) / sigma^2 + sum_j lambda_j theta^T S_j theta / 2,     H = G / sigma^2 + S,   V = H^-1,   S = sum_j lambda_j S_j
    lambda_j  <-  lambda_j [tr(S^-1 S_j) - tr(V S_j)] / (theta^T S_j theta),  sigma^2 <- 2 L / (N - tr(V G) / sigma^2)

(Fellner and Schall's update of the restricted likelihood: Wood and Fasiolo, Biometrics 73, 2017.) The penalties act on blocks of equal size, so that
`S` is block diagonal and its inverse and traces cost next to nothing.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
from jaxtyping import Array, Float, Int

from .streaming import Normal

# One update changes a strength by at most this factor, so that a model still far from its optimum is not pruned.
_CAUTION = 8.0
_WEAKEST, _STRONGEST = 1e-8, 1e8


class PenaltyBlocks(eqx.Module):
    """Penalties on K disjoint runs of `n` parameters.

    **Fields:** `matrices` `(K, T, n, n)`, T positive semi-definite matrices for each run, their weighted sum definite; `starts` `(K,)` where the runs begin;
    `group` `(K, T)` which strength each matrix carries.
    """

    matrices: Float[Array, "K T n n"]
    starts: Int[Array, " K"]
    group: Int[Array, "K T"]

    @property
    def places(self) -> Int[Array, "K n"]:
        """Positions of the parameters of each run."""
        return self.starts[:, None] + jnp.arange(self.matrices.shape[-1])

    def blocks(self, lam: Float[Array, " C"]) -> Float[Array, "K n n"]:
        """`S` on each run."""
        return jnp.einsum("kt,ktij->kij", lam[self.group], self.matrices)


class BlockPenalty(eqx.Module):
    """Quadratic penalties, block diagonal; parameters in no run are free.

    The runs may hold parameters that are filled in to make them equally long. The methods act on vectors and matrices of the parameters that are `kept`.

    **Fields:** `families`, the runs of one length each; `kept`, which of all parameters are not filled in; `strengths`, static: the number C of strengths;
    `size`, static: the number of all parameters.
    """

    families: tuple[PenaltyBlocks, ...]
    kept: Int[Array, " P"]
    strengths: int = eqx.field(static=True)
    size: int = eqx.field(static=True)

    def filled(self, theta: Float[Array, "*r P"]) -> Float[Array, "*r Q"]:
        """Vectors of all parameters, those filled in zero."""
        return jnp.zeros((*theta.shape[:-1], self.size), theta.dtype).at[..., self.kept].set(theta)

    def filled_matrix(self, lam: Float[Array, " C"]) -> Float[Array, "Q Q"]:
        """`S` for all parameters."""
        S = jnp.zeros((self.size, self.size), lam.dtype)
        for family in self.families:
            places = family.places
            S = S.at[places[:, :, None], places[:, None, :]].set(family.blocks(lam))
        return S

    def matrix(self, lam: Float[Array, " C"]) -> Float[Array, "P P"]:
        """`S` as one matrix."""
        return self.filled_matrix(lam)[self.kept[:, None], self.kept]

    def _by_strength(self, parts: list[Array]) -> Float[Array, " C"]:
        total = jnp.zeros((self.strengths,), parts[0].dtype)
        for family, part in zip(self.families, parts, strict=True):
            total = total.at[family.group].add(part)
        return total

    def energies(self, theta: Float[Array, " P"]) -> Float[Array, " C"]:
        """`theta^T S_j theta` for each strength."""
        theta = self.filled(theta)
        taken = ((family, theta[family.places]) for family in self.families)
        return self._by_strength([jnp.einsum("ki,ktij,kj->kt", a, family.matrices, a) for family, a in taken])

    def inverse_traces(self, lam: Float[Array, " C"]) -> Float[Array, " C"]:
        """`tr(S^-1 S_j)` for each strength."""
        counted = self.filled(jnp.ones(self.kept.shape, lam.dtype))
        return self._by_strength(
            [
                jnp.einsum(
                    "kij,ktji,ki->kt",
                    jnp.linalg.inv(family.blocks(lam)),
                    family.matrices,
                    counted[family.places],
                )
                for family in self.families
            ]
        )

    def traces(self, root: Float[Array, "r P"]) -> Float[Array, " C"]:
        """`tr(V S_j)` for each strength, where `V = root^T root`."""
        root, parts = self.filled(root), []
        for family in self.families:
            taken = root[:, family.places]
            parts.append(jnp.einsum("kij,ktji->kt", jnp.einsum("pki,pkj->kij", taken, taken), family.matrices))
        return self._by_strength(parts)


class Evidence(eqx.Module):
    """Strengths `(C,)` and noise variance of the present state."""

    lam: Float[Array, " C"]
    variance: Float[Array, ""]

    def objective(self, penalty: BlockPenalty, theta: Float[Array, " P"], loss: Float[Array, ""]) -> Float[Array, ""]:
        """What a step has to lower: `L + sigma^2 theta^T S theta / 2`."""
        return loss + 0.5 * self.variance * jnp.vdot(self.lam, penalty.energies(theta))


def damped_step(
    normal: Normal, penalty: BlockPenalty, evidence: Evidence, theta: Float[Array, " P"], mu: Float[Array, ""]
) -> tuple[Float[Array, " P"], Float[Array, ""]]:
    """**Returns:** the step that solves `(H + mu diag H) p = -grad`, equilibrated, and the reduction of the objective that it promises."""
    S = evidence.variance * penalty.matrix(evidence.lam)
    H = normal.gram + S
    gradient = normal.gradient + S @ theta
    scale = _root_diagonal(H)
    scaled = H / scale[:, None] / scale[None, :] + mu * jnp.eye(theta.shape[0], dtype=theta.dtype)
    p = refined_solve(scaled, -gradient / scale) / scale
    promised = -(jnp.vdot(gradient, p) + 0.5 * jnp.vdot(p, H @ p))
    return p, promised


def refined_solve(H: Float[Array, "P P"], b: Float[Array, " P"]) -> Float[Array, " P"]:
    """`H^-1 b` by Cholesky's factorisation with one step of refinement."""
    factor = jsl.cho_factor(H)
    x = jsl.cho_solve(factor, b)
    return x + jsl.cho_solve(factor, b - H @ x)


def covariance_root(normal: Normal, penalty: BlockPenalty, evidence: Evidence) -> Float[Array, "P P"]:
    """A matrix `K` with `K^T K = V = (G / sigma^2 + S)^-1`, the posterior covariance of the parameters in the Gauss-Newton sense."""
    size = normal.gradient.shape[0]
    H = normal.gram / evidence.variance + penalty.matrix(evidence.lam)
    scale = _root_diagonal(H)
    identity = jnp.eye(size, dtype=H.dtype)
    scaled, eps = H / scale[:, None] / scale[None, :], jnp.finfo(H.dtype).eps
    factor = lambda ridge: jnp.linalg.cholesky(scaled + ridge * eps * identity, symmetrize_input=False)
    lower = factor(10)
    # Rounding of many sums may leave an eigenvalue below zero: it is lifted by what so large a matrix may be off.
    lower = jax.lax.cond(jnp.all(jnp.isfinite(lower)), lambda: lower, lambda: factor(10 * size))
    return jsl.solve_triangular(lower, identity, lower=True) / scale


def covariance(normal: Normal, penalty: BlockPenalty, evidence: Evidence) -> Float[Array, "P P"]:
    """The posterior covariance `V` of the parameters."""
    root = covariance_root(normal, penalty, evidence)
    return root.T @ root


@jax.jit
def log_evidence(
    normal: Normal, penalty: BlockPenalty, evidence: Evidence, theta: Float[Array, " P"], samples: Float[Array, ""]
) -> Float[Array, ""]:
    """The logarithm of the evidence of `samples` numbers in Laplace's approximation at `theta`.

        log p = -L / sigma^2 - N log(2 pi sigma^2) / 2 - theta^T S theta / 2 + log det S / 2 - log det H / 2

    Parameters without a penalty count with a prior of unit width.
    """
    S = penalty.matrix(evidence.lam)
    free = jnp.diagonal(S) == 0
    S = S + jnp.diag(free.astype(S.dtype))
    H = normal.gram / evidence.variance + S

    def log_determinant(matrix: Float[Array, "P P"]) -> Float[Array, ""]:
        scale = _root_diagonal(matrix)
        ridge = 10 * jnp.finfo(matrix.dtype).eps * jnp.eye(theta.shape[0], dtype=matrix.dtype)
        lower = jnp.linalg.cholesky(matrix / scale[:, None] / scale + ridge)
        return 2 * jnp.sum(jnp.log(jnp.diagonal(lower)) + jnp.log(scale))

    fit = normal.loss / evidence.variance + 0.5 * samples * jnp.log(2 * jnp.pi * evidence.variance)
    prior = 0.5 * jnp.vdot(evidence.lam, penalty.energies(theta))
    return 0.5 * (log_determinant(S) - log_determinant(H)) - fit - prior


def update(
    normal: Normal, penalty: BlockPenalty, evidence: Evidence, theta: Float[Array, " P"], samples: Float[Array, ""]
) -> tuple[Evidence, Float[Array, ""]]:
    """One Fellner-Schall update.

    **Arguments:** the normal equations at `theta`, the penalty, the present evidence, the parameters, the number of samples.

    **Returns:** the new evidence and the effective number of parameters `tr(V G) / sigma^2`.
    """
    used = penalty.traces(covariance_root(normal, penalty, evidence))
    free = penalty.inverse_traces(evidence.lam) - used
    tiny = jnp.finfo(theta.dtype).tiny
    change = jnp.maximum(free, tiny) / jnp.maximum(penalty.energies(theta), tiny)
    change = jnp.clip(change, 1 / _CAUTION, _CAUTION)
    lam = jnp.clip(evidence.lam * change, _WEAKEST, _STRONGEST)
    effective = theta.shape[0] - jnp.vdot(evidence.lam, used)
    freedom = jnp.maximum(samples - effective, 0.1 * samples)
    variance = jnp.maximum(2 * normal.loss / freedom, jnp.finfo(theta.dtype).eps ** 2)
    return Evidence(lam, variance), effective


def affine_optimum(
    normal: Normal, penalty: BlockPenalty, evidence: Evidence, samples: Float[Array, ""], updates: int = 30
) -> tuple[Float[Array, " P"], Evidence]:
    """Parameters and evidence of an affine model, from its normal equations at zero.

    **Arguments:** the normal equations at zero parameters, the penalty, the evidence to begin with, the number of samples, how often the evidence is updated.
    """
    size = normal.gradient.shape[0]

    def solve(evidence: Evidence) -> Float[Array, " P"]:
        H = normal.gram + evidence.variance * penalty.matrix(evidence.lam)
        scale = _root_diagonal(H)
        ridge = 10 * jnp.finfo(H.dtype).eps * jnp.eye(size, dtype=H.dtype)
        return -refined_solve(H / scale[:, None] / scale + ridge, normal.gradient / scale) / scale

    def renew(_, evidence: Evidence) -> Evidence:
        theta = solve(evidence)
        pull = normal.gram @ theta
        loss = normal.loss + jnp.vdot(normal.gradient, theta) + 0.5 * jnp.vdot(theta, pull)
        here = Normal(normal.gram, normal.gradient + pull, jnp.maximum(loss, 0.0))
        return update(here, penalty, evidence, theta, samples)[0]

    evidence = jax.lax.fori_loop(0, updates, renew, evidence)
    return solve(evidence), evidence


def _root_diagonal(H: Float[Array, "P P"]) -> Float[Array, " P"]:
    diagonal = jnp.diagonal(H)
    return jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1.0))
