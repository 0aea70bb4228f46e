r"""A linear model for a table that is too small for products, in the form of a `KHRONOS` whose modes are zero.

    z_o = c_o + sum_d b_od (t_d - mean t_d),    a_od = b_od (-mean t_d, 1 - mean t_d) on the hats 1 - t and t

The slopes are found by scikit-learn's `BayesianRidge`, whose penalty is chosen by the evidence, as that of `inf.fit` is, so there may be fewer rows than
slopes. Without inputs or targets that vary all slopes are zero: the model is the mean.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import BayesianRidge

from ..closure import certify
from ..fitting import Fitted, Predictor, Result
from ..fitting.generic import residuals_of
from ..models import KHRONOS
from .table import Table


def linear(table: Table, seed: int) -> Result:
    """Fit the linear model to the targets of a table that vary; the rest is zero.

    **Returns:** a `Result` on the unit box, without metrics.
    """
    z, weights, t = table.z, table.weights, table.t
    (_, K), O = t.shape, z.shape[1]
    middle = np.average(t, axis=0, weights=weights)
    constant = np.average(z, axis=0, weights=weights)
    slopes, noise = np.zeros((O, K)), np.zeros(O)
    hats = np.zeros((K, 2, K))  # from the slopes to the coefficients of the hats
    hats[np.arange(K), 0, np.arange(K)], hats[np.arange(K), 1, np.arange(K)] = -middle, 1 - middle
    offset = 2 * K + (O if O > 1 else 0)
    size = offset + 2 * K * O + O
    covariance = np.zeros((size, size))
    iterations = 0
    for o in np.flatnonzero(table.varying):
        if table.any_input:
            ridge = BayesianRidge().fit(t, z[:, o], sample_weight=weights)
            slopes[o], noise[o] = ridge.coef_, ridge.alpha_**-0.5
            iterations += ridge.n_iter_
            places = (offset + (np.arange(K)[:, None] * O + o) * 2 + np.arange(2)).ravel()
            T = hats.reshape(2 * K, K)
            covariance[places[:, None], places] = T @ ridge.sigma_ @ T.T
        else:
            noise[o] = np.sqrt(np.average((z[:, o] - constant[o]) ** 2, weights=weights))
        covariance[size - O + o, size - O + o] = noise[o] ** 2 / weights.sum()
    model = _linear_model(np.einsum("djk,ok->doj", hats, slopes), constant)
    params, static = eqx.partition(model, eqx.is_inexact_array)
    fitted = Fitted(
        inner=model,
        lower=(0.0,) * K,
        upper=(1.0,) * K,
        scaled=True,
        shift=(0.0,) * O,
        scale=(1.0,) * O,
        names=tuple(f"x{d}" for d in range(K)),
        targets=tuple(f"y{o}" for o in range(O)),
        outside="linear",
        scalar=False,
    )
    return Result(
        predictor=Predictor(fitted, jnp.asarray(covariance), jnp.asarray(noise), None, None),
        success=True,
        status="converged",
        message="A linear model was solved for directly." if np.any(slopes) else "The model is the mean.",
        stationarity=0.0,
        certificate=certify(residuals_of(static), params, (jnp.asarray(t[:1]), jnp.asarray(z[:1]), jnp.ones(1))),
        history=[],
        stats={"iterations": iterations},
        metrics={},
        heldout_prediction=np.zeros((0, O)),
        trials=[],
        timings={},
        seed=seed,
        heldout=np.zeros(0, int),
        options={"modes": 0, "model": "linear" if np.any(slopes) else "constant"},
    )


def _linear_model(additive: np.ndarray, constant: np.ndarray) -> KHRONOS:
    """A `KHRONOS` on the unit box, one cell and degree one, whose modes are zero."""
    K, O, _ = additive.shape
    model = KHRONOS([(0.0, 1.0)] * K, modes=1, elements=1, degree=1, outputs=O, key=jax.random.key(0))
    parts = (
        tuple(jnp.zeros((1, 2)) for _ in range(K)),
        None if O == 1 else jnp.zeros((O, 1)),
        tuple(jnp.asarray(row) for row in additive),
        jnp.asarray(constant),
    )
    where = lambda model: (model.factors, model.mixing, model.additive, model.constant)
    return eqx.tree_at(where, model, parts, is_leaf=lambda leaf: leaf is None)
