r"""From a prepared table to a `Result`: the size that was asked for, else the size that `inf.fit` chooses, else a linear model.

    y = shift + scale * u(t),    u the model on the unit box that was solved for

A target that does not vary is left out of the solve and gets its constant.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ..fitting import Fitted, Predictor, Result, fit
from ..fitting.size import Size, choose_size
from ..models import KHRONOS
from .small import linear
from .table import Table


class SmallTableWarning(UserWarning):
    """A table is too small for the model that was asked for, and a smaller one was fitted."""


def solve(
    table: Table,
    *,
    modes: int | None,
    elements: int | None,
    degree: int | None,
    outside: str,
    tolerance: float | None,
    seed: int,
    names: Sequence[str],
    targets: Sequence[str],
    scalar: bool,
    link: str,
) -> Result:
    """Fit a table.

    **Arguments:** the table; `modes`, `elements`, `degree`, `outside`, `tolerance` and `seed` as of `inf.fit`; the names of the kept inputs and of the targets;
    whether predictions have no axis of targets; the link, an identity
    that may keep bounds.

    **Returns:** a `Result` in physical units, without metrics. Warns with `SmallTableWarning` where a smaller model than asked for was fitted.
    """
    if not (table.any_input and table.varying.any()):
        return _in_units(linear(table, seed), table, outside, names, targets, scalar, link)
    size: dict[str, Any] = {"modes": modes, "elements": elements, "degree": degree}
    if not _carries(table, size):
        chosen = modes is not None or elements is not None
        size = {"modes": None, "elements": None, "degree": degree}
        small = not (chosen and _carries(table, size))
        warnings.warn(
            f"the table has {table.measurements:g} distinct measurements of {table.t.shape[1]} inputs, too few for "
            + ("the modes and elements that were asked for; " if chosen else "a model with products; ")
            + ("a linear model is fitted" if small else "a model of a size that they carry is fitted"),
            SmallTableWarning,
            stacklevel=4,
        )
        if small:
            return _in_units(linear(table, seed), table, outside, names, targets, scalar, link)
    # On the unit box and with standardised targets no target can be taken for a copy of an input.
    result = fit(
        table.t,
        table.z[:, table.varying],
        weights=table.weights,
        outside="linear",
        holdout=0.0,
        tolerance=tolerance,
        seed=seed,
        **size,
    )
    return _in_units(_with_constant_targets(result, table), table, outside, names, targets, scalar, link)


def _carries(table: Table, size: dict[str, Any]) -> bool:
    """Whether the table has a measured number for each unknown of a model of this size."""
    outputs = int(table.varying.sum())
    try:
        chosen: Size = choose_size(
            table.t, outputs, **{**size, "degree": 3 if size["degree"] is None else size["degree"]}
        )
    except ValueError:  # the sizes themselves are checked before, so it is the number of unknowns
        return False
    return chosen.unknowns(outputs) <= table.measurements * outputs


def _in_units(
    result: Result,
    table: Table,
    outside: str,
    names: Sequence[str],
    targets: Sequence[str],
    scalar: bool,
    link: str,
) -> Result:
    """The result on the unit box in physical units."""
    inner = result.model
    as_floats = lambda row: tuple(float(v) for v in row)
    shift, scale = (np.asarray(row) for row in (inner.shift, inner.scale))
    model = Fitted(
        inner=inner.inner,
        lower=as_floats(table.lower),
        upper=as_floats(table.upper),
        scaled=True,
        shift=as_floats(table.shift + table.scale * shift),
        scale=as_floats(table.scale * scale),
        names=tuple(names),
        targets=tuple(targets),
        outside=outside,
        scalar=scalar,
        link=link,
    )
    found = result.predictor
    # The local stage works in the units of the inner model and stays as it is.
    predictor = Predictor(model, found.covariance, found.noise * jnp.asarray(table.scale), found.scores, found.local)
    return dataclasses.replace(result, predictor=predictor, options={**result.options, "outside": outside})


def _with_constant_targets(result: Result, table: Table) -> Result:
    """The result with zeros, certain ones, for the targets that were left out."""
    if table.varying.all():
        return result
    varying, O = np.flatnonzero(table.varying), len(table.varying)
    fitted, old = result.model, result.model.inner

    def spread(rows: Any, fill: float) -> Any:
        return jnp.full((O, *rows.shape[1:]), fill, rows.dtype).at[varying].set(rows)

    def embed(model: KHRONOS, one: float, zero: float) -> KHRONOS:
        mixing = jnp.full((1, model.modes), one) if model.mixing is None else model.mixing
        parts = (
            spread(mixing, zero),
            tuple(spread(rows, zero) for rows in model.additive or ()),
            spread(model.constant, zero),
        )
        where = lambda model: (model.mixing, model.additive, model.constant)
        return eqx.tree_at(where, model, parts, is_leaf=lambda leaf: leaf is None)

    # The same embedding of the parameters' numbers says which of them each new parameter is.
    flat, unravel = ravel_pytree(eqx.filter(old, eqx.is_inexact_array))
    numbers = eqx.combine(unravel(jnp.arange(float(flat.size))), old)
    origin = np.asarray(ravel_pytree(eqx.filter(embed(numbers, -1.0, -1.0), eqx.is_inexact_array))[0]).astype(int)
    known, covariance = origin >= 0, result.covariance
    if covariance is not None:
        covariance = jnp.where(known[:, None] & known, covariance[origin[:, None], origin], 0.0)
    model = Fitted(
        inner=embed(old, 1.0, 0.0),
        lower=fitted.lower,
        upper=fitted.upper,
        scaled=True,
        shift=tuple(np.asarray(spread(jnp.asarray(fitted.shift), 0.0)).tolist()),
        scale=tuple(np.asarray(spread(jnp.asarray(fitted.scale), 1.0)).tolist()),
        names=fitted.names,
        targets=tuple(f"y{o}" for o in range(O)),
        outside=fitted.outside,
        scalar=False,
    )
    local = result.predictor.local
    if local is not None:
        process = local.process
        widen = lambda balance: jax.tree.map(lambda row: spread(row, 0.0), balance)
        parts = (embed(local.law, 1.0, 0.0), spread(process.values.T, 0.0).T, spread(process.scale, 0.0))
        where = lambda stage: (
            stage.law,
            stage.process.values,
            stage.process.scale,
            stage.balance,
            stage.dense_balance,
        )
        local = eqx.tree_at(where, local, (*parts, widen(local.balance), widen(local.dense_balance)))
        if local.dense is not None:
            parts = (spread(local.dense.values.T, 0.0).T, spread(local.dense.scale, 0.0))
            local = eqx.tree_at(lambda stage: (stage.dense.values, stage.dense.scale), local, parts)
        if local.twins is not None:
            twins = local.twins
            parts = (spread(twins.values.T, 0.0).T, spread(twins.pure, 1.0), spread(twins.total, 1.0))
            where = lambda stage: (stage.twins.values, stage.twins.pure, stage.twins.total)
            local = eqx.tree_at(where, local, parts)
    predictor = Predictor(model, covariance, spread(result.predictor.noise, 0.0), None, local)
    return dataclasses.replace(result, predictor=predictor, heldout_prediction=np.zeros((0, O)))
