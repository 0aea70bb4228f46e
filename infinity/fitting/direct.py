r"""The direct fit of a separable model: damped Gauss-Newton on streamed normal equations, smoothness by the evidence.

    min  sum_n w_n |u(x_n) - y_n|^2 / (2 sigma^2) + sum_d sum_m a_dm^T (lambda_0 Q_d + lambda_d R_d) a_dm / 2 + the same for the additive block

`Q_d` is the mass and `R_d` the stiffness matrix of the splines of dimension d. The first iterations use part of the samples, as the whole table adds
nothing while the model is far off; the last ones use all of them. The noise variance starts at a hundredth of that of the data and follows the residual,
so the penalties fade by themselves as the fit improves.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from ..descent.evidence import BlockPenalty, Evidence, PenaltyBlocks, covariance, damped_step, update
from ..descent.streaming import Normal, accumulate, accumulate_gradient, accumulate_loss, chunked
from ..models import AbstractSeparable

Progress = Callable[[dict[str, Any]], None]

# Samples in a chunk: enough to keep a matrix product busy, few enough to stay in the cache.
CHUNK = 512
# Samples an unknown in the first stage, and for the Gram matrix in the second.
FIRST_STAGE = 6
GRAM_STAGE = 12
FIRST_ITERATIONS = 60
LAST_ITERATIONS = 30
# The iteration ends after so many steps in a row that change little.
CALM_STEPS = 4


class Data(NamedTuple):
    """Samples in chunks: inputs `(chunks, size, D)`, targets `(chunks, size, O)`, weights `(chunks, size)`."""

    x: Float[Array, "chunks size D"]
    y: Float[Array, "chunks size O"]
    weights: Float[Array, "chunks size"]


class Stage(NamedTuple):
    """State of the iteration between two steps, kept on the host."""

    model: AbstractSeparable
    normal: Normal
    evidence: Evidence
    objective: float
    damping: float


class DirectFit(NamedTuple):
    """What the direct fit found: the model, its normal equations and evidence, the effective number of parameters, and how it went."""

    model: AbstractSeparable
    normal: Normal
    penalty: BlockPenalty
    evidence: Evidence
    effective: float
    converged: bool
    stationarity: float
    history: list[dict[str, Any]]
    counts: dict[str, int]


def roughness_penalty(model: AbstractSeparable) -> BlockPenalty:
    """Mass and stiffness penalties on the factors and the additive block.

    One strength for the size of all factors and one for the roughness in each dimension, the same again for the additive block, and one for the mixing.
    """
    D, M, O = model.dimensions, model.modes, model.outputs
    sizes = [basis.size for basis in model.bases]
    runs: dict[int, list] = {}
    for d, basis in enumerate(model.bases):
        length = basis.domain[1] - basis.domain[0]
        matrices = jnp.stack([basis.mass() / length, basis.stiffness() * length])
        for m in range(M):
            runs.setdefault(sizes[d], []).append((matrices, M * sum(sizes[:d]) + m * sizes[d], (0, 1 + d)))
        if model.additive is not None:
            offset = M * sum(sizes) + (0 if model.mixing is None else O * M) + O * sum(sizes[:d])
            for o in range(O):
                runs.setdefault(sizes[d], []).append((matrices, offset + o * sizes[d], (1 + D, 2 + D + d)))
    families = [_family(members) for members in runs.values()]
    strengths = 1 + D + (0 if model.additive is None else 1 + D)
    if model.mixing is not None:
        identity = jnp.eye(M, dtype=model.mixing.dtype)[None]
        families.append(_family([(identity, M * sum(sizes) + o * M, (strengths,)) for o in range(O)]))
        strengths += 1
    return BlockPenalty(tuple(families), strengths)


def _family(members: list[tuple[Float[Array, "T n n"], int, tuple[int, ...]]]) -> PenaltyBlocks:
    matrices, starts, group = zip(*members, strict=True)
    return PenaltyBlocks(jnp.stack(matrices), jnp.asarray(starts, jnp.int32), jnp.asarray(group, jnp.int32))


def flatten(model: AbstractSeparable) -> Float[Array, " P"]:
    """The free parameters in the order of the model's leaves."""
    return ravel_pytree(eqx.filter(model, eqx.is_inexact_array))[0]


def _with(model: AbstractSeparable, theta: Float[Array, " P"]) -> AbstractSeparable:
    params, static = eqx.partition(model, eqx.is_inexact_array)
    return eqx.combine(ravel_pytree(params)[1](theta), static)


def _rows(model: AbstractSeparable, theta, chunk: Data):
    """Residuals, Jacobian and weights of a chunk: one row for each sample and output."""
    model = _with(model, theta)
    rows = jax.vmap(model.sensitivities)(chunk.x)
    leaves = jax.tree.leaves(eqx.filter(rows, eqx.is_inexact_array))
    samples, O = chunk.y.shape
    J = jnp.concatenate([leaf.reshape(samples * O, -1) for leaf in leaves], axis=1)
    return _residuals(model, theta, chunk)[0], J, jnp.repeat(chunk.weights, O)


def _residuals(model: AbstractSeparable, theta, chunk: Data):
    value = jax.vmap(_with(model, theta))(chunk.x).reshape(chunk.y.shape)
    return (value - chunk.y).ravel(), jnp.repeat(chunk.weights, chunk.y.shape[1])


@eqx.filter_jit
def _linearise(model: AbstractSeparable, data: Data, count) -> Normal:
    return accumulate(lambda theta, chunk: _rows(model, theta, chunk), flatten(model), data, count)


@eqx.filter_jit
def _gradient(model: AbstractSeparable, data: Data, count):
    return accumulate_gradient(lambda theta, chunk: _residuals(model, theta, chunk), flatten(model), data, count)


@eqx.filter_jit
def _loss(model: AbstractSeparable, data: Data, count):
    return accumulate_loss(lambda theta, chunk: _residuals(model, theta, chunk), flatten(model), data, count)


@eqx.filter_jit
def _propose(model: AbstractSeparable, normal: Normal, penalty: BlockPenalty, evidence: Evidence, mu):
    theta = flatten(model)
    p, promised = damped_step(normal, penalty, evidence, theta, mu)
    size = jnp.linalg.norm(p) / jnp.maximum(jnp.linalg.norm(theta), jnp.finfo(theta.dtype).tiny)
    return _with(model, theta + p), promised, size


@eqx.filter_jit
def _objective(model: AbstractSeparable, penalty: BlockPenalty, evidence: Evidence, loss):
    return evidence.objective(penalty, flatten(model), loss)


@eqx.filter_jit
def _update(model: AbstractSeparable, normal: Normal, penalty: BlockPenalty, evidence: Evidence, samples):
    return update(normal, penalty, evidence, flatten(model), samples)


@eqx.filter_jit
def _stationarity(model: AbstractSeparable, normal: Normal, penalty: BlockPenalty, evidence: Evidence):
    """`max_j |grad_j| / sqrt(2 L H_jj)`: the cosine between the residual and the nearest column, penalty included."""
    theta = flatten(model)
    S = evidence.variance * penalty.matrix(evidence.lam, theta.shape[0])
    gradient = normal.gradient + S @ theta
    diagonal = jnp.diagonal(normal.gram) + jnp.diagonal(S)
    bottom = jnp.sqrt(2 * normal.loss * diagonal)
    return jnp.max(jnp.abs(gradient) / jnp.where(bottom > 0, bottom, 1.0))


class _Descent:
    """The iteration on the first samples of the data; the Gram matrix may come from fewer of them than the gradient and the loss."""

    def __init__(
        self,
        data: Data,
        used: int,
        gram: int,
        penalty: BlockPenalty,
        report: Callable[..., None],
        counts: dict[str, int],
    ):
        self.data, self.penalty, self.report, self.counts = data, penalty, report, counts
        # Chunks, and the numbers measured in them: a weight of two is two measurements.
        self.used, self.gram = jnp.asarray(used), jnp.asarray(gram)
        self.samples = float(jnp.sum(data.weights[:used])) * data.y.shape[-1]
        self.share = None if gram == used else float(jnp.sum(data.weights[:used]) / jnp.sum(data.weights[:gram]))

    def linearise(self, model: AbstractSeparable) -> Normal:
        """Normal equations at a model."""
        self.counts["jacobians"] += 1
        if self.share is None:
            return _linearise(model, self.data, self.used)
        gram = _linearise(model, self.data, self.gram).gram * self.share
        gradient, loss = _gradient(model, self.data, self.used)
        return Normal(gram, gradient, loss)

    def start(self, model: AbstractSeparable, evidence: Evidence, damping: float) -> Stage:
        """The first state."""
        normal = self.linearise(model)
        return Stage(model, normal, evidence, float(_objective(model, self.penalty, evidence, normal.loss)), damping)

    def run(self, stage: Stage, iterations: int, tolerance: float) -> tuple[Stage, float, bool]:
        """Iterate until a step promises less than `tolerance` of the objective, `CALM_STEPS` times in a row."""
        growth, calm, accepted, effective = 2.0, 0, 0, float("nan")
        for _ in range(iterations):
            trial, promised, size = _propose(
                stage.model, stage.normal, self.penalty, stage.evidence, jnp.asarray(stage.damping)
            )
            loss = _loss(trial, self.data, self.used)
            self.counts["residuals"] += 1
            self.counts["factorisations"] += 1
            self.counts["iterations"] += 1
            objective = float(_objective(trial, self.penalty, stage.evidence, loss))
            drop, hoped = stage.objective - objective, float(promised)
            gain = drop / hoped if hoped > 0 else -1.0
            if np.isfinite(objective) and drop > 0 and gain > 1e-3:
                accepted, growth = accepted + 1, 2.0
                damping = max(stage.damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), 1e-12)
                normal, evidence = self.linearise(trial), stage.evidence
                if accepted % 2 == 0:
                    evidence, value = _update(trial, normal, self.penalty, evidence, jnp.asarray(self.samples))
                    self.counts["factorisations"] += 1
                    effective = float(value)
                stage = Stage(
                    trial, normal, evidence, float(_objective(trial, self.penalty, evidence, normal.loss)), damping
                )
                calm = calm + 1 if drop <= tolerance * abs(objective) else 0
            else:
                self.counts["rejected"] += 1
                stage, growth = stage._replace(damping=stage.damping * growth), 2 * growth
                calm = calm + 1 if hoped <= tolerance * stage.objective else calm
            self.report(stage, self.samples, effective)
            if calm >= CALM_STEPS or stage.damping > 1e8 or float(size) < 1e-12:
                return stage, effective, True
        return stage, effective, False


def fit_separable(
    model: AbstractSeparable,
    x: Float[Array, "N D"],
    y: Float[Array, "N O"],
    weights: Float[Array, " N"],
    *,
    seed: int,
    tolerance: float,
    progress: Progress | None,
) -> DirectFit:
    """Fit a separable model to standardised data.

    **Arguments:** a start `model` on the box of `x`; inputs, targets of about unit variance and zero mean, weights; the `seed` that draws the samples of the
    first stage; the relative change of the objective at which the iteration ends; a callback that gets a dictionary after each iteration.
    """
    P, N = model.unknowns, x.shape[0]
    penalty = roughness_penalty(model)
    ones = jnp.ones((penalty.strengths,), x.dtype)
    evidence = Evidence(ones, jnp.asarray(0.01, x.dtype))
    counts: dict[str, int] = dict.fromkeys(("residuals", "jacobians", "factorisations", "iterations", "rejected"), 0)
    history: list[dict[str, Any]] = []

    def reporter(stage_name: str):
        def report(stage: Stage, samples: float, effective: float) -> None:
            event = {
                "stage": stage_name,
                "iteration": len(history) + 1,
                "loss": float(stage.normal.loss),
                "nrmse": float(np.sqrt(2 * float(stage.normal.loss) / samples)),
                "damping": stage.damping,
                "noise": float(np.sqrt(float(stage.evidence.variance))),
                "effective": effective,
            }
            history.append(event)
            if progress is not None:
                progress({**event, "model": stage.model})

        return report

    order = jnp.asarray(np.random.default_rng(seed).permutation(N))
    x, y, weights = x[order], y[order], weights[order]

    size = min(CHUNK, N)
    (a, b), w = chunked((x, y), weights, size)
    data, chunks, damping = Data(a, b, w), w.shape[0], 1e-2
    part = min(chunks, -(-FIRST_STAGE * P // (size * y.shape[1])))
    gram = min(chunks, -(-GRAM_STAGE * P // (size * y.shape[1])))
    iterations = FIRST_ITERATIONS + LAST_ITERATIONS
    if part < 0.7 * chunks:
        descent = _Descent(data, part, part, penalty, reporter("part"), counts)
        stage, _, _ = descent.run(descent.start(model, evidence, damping), FIRST_ITERATIONS, 2 * tolerance)
        model, evidence, damping = stage.model, stage.evidence, min(max(stage.damping, 1e-4), 1e-2)
        iterations = LAST_ITERATIONS
    descent = _Descent(data, chunks, gram if gram < 0.7 * chunks else chunks, penalty, reporter("all"), counts)
    stage, effective, converged = descent.run(descent.start(model, evidence, damping), iterations, tolerance)
    stationarity = float(_stationarity(stage.model, stage.normal, penalty, stage.evidence))
    return DirectFit(
        stage.model, stage.normal, penalty, stage.evidence, effective, converged, stationarity, history, counts
    )


@eqx.filter_jit
def posterior(fit_normal: Normal, penalty: BlockPenalty, evidence: Evidence) -> Float[Array, "P P"]:
    """The covariance of the free parameters."""
    return covariance(fit_normal, penalty, evidence)
