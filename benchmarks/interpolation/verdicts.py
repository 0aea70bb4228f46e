"""The interpolating family before the closure check: what is found beside what theory says.

    python -m benchmarks.interpolation.verdicts [--quick] [--out benchmarks/results]

Residuals of each model on 64 samples of three inputs (two for the full tensor product and the mixing layer). As long as nodes, maps and directions are held,
a separable model is a polynomial of the degree of its factors, affine in each of them, and the full tensor product is affine. Trained nodes, maps and
directions decide in which cell a sample lies: no closed form, and the obstruction says why; what stays affine is named, and is what the descent eliminates.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

import infinity as inf
from benchmarks.interpolation.report import options, table, write
from infinity.closure import certify
from infinity.fitting.generic import residuals_of


class Expected(NamedTuple):
    """What theory says: family, total degree, unknowns that are jointly affine at most, number of blocks."""

    family: str
    degree: int | None
    affine: int
    blocks: int | None


def cases() -> Iterator[tuple[str, Any, Expected]]:
    """Every member of the family: name, model, verdict."""
    key = jax.random.key(0)
    box, plane = [(0.0, 1.0)] * 3, [(0.0, 1.0)] * 2
    separable = {"modes": 2, "elements": 4, "key": key}
    # A cubic factor has 2 modes of 7 coefficients; beside one of them stand the additive block, 3 * 7, and the constant.
    yield "KHRONOS", inf.KHRONOS(box, **separable), Expected("polynomial", 3, 14 + 21 + 1, 3)
    yield "KHRONOS, 2 outputs", inf.KHRONOS(box, outputs=2, **separable), Expected("polynomial", 4, 14 + 42 + 2, 4)
    yield "KHRONOS, no modes", inf.KHRONOS(box, **{**separable, "modes": 0}), Expected("affine", 1, 21 + 1, 1)
    layers = inf.KHRONOS(box, layers=2, **separable)
    yield "KHRONOS, two layers", layers, Expected("open", None, 14 + 21 + 1, None)
    yield "KHRONOS, two layers, maps held", layers.frozen(), Expected("polynomial", 3, 14 + 21 + 1, 3)
    nodes = inf.KHRONOS(box, trainable_nodes=True, **separable)
    yield "KHRONOS, trained nodes", nodes, Expected("open", None, 14 + 21 + 1, None)
    yield "INN, hats", inf.INN(box, **separable), Expected("polynomial", 3, 10, 3)
    yield "INN, patches", inf.INN(box, basis="patch", **separable), Expected("polynomial", 3, 10, 3)
    trained = {"trainable_nodes": True, **separable}
    yield "INN, hats, trained nodes", inf.INN(box, **trained), Expected("open", None, 10, None)
    yield "INN, patches, trained nodes", inf.INN(box, basis="patch", **trained), Expected("open", None, 10, None)
    yield "HiDeNN, hats", inf.HiDeNN(domain=plane, elements=4), Expected("affine", 1, 25, 1)
    yield "HiDeNN, patches", inf.HiDeNN(domain=plane, elements=4, basis="patch"), Expected("affine", 1, 25, 1)
    moving = inf.HiDeNN(domain=plane, elements=4, trainable_nodes=True)
    yield "HiDeNN, trained nodes", moving, Expected("open", None, 25, None)
    yield "Oblique", inf.Oblique(plane, directions=1, **separable), Expected("open", None, 14 + 21 + 1, None)


def verdict(model: Any) -> tuple[Any, Expected]:
    """The certificate of a model's residuals, verified by differences, and what it says."""
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.uniform(size=(64, model.dimensions)))
    y = jnp.asarray(draw.normal(size=(64, model.outputs)))
    params, static = eqx.partition(model, eqx.is_inexact_array)
    params = jax.tree.map(lambda a: a + 0.1 * jnp.asarray(draw.normal(size=a.shape)), params)
    residuals, data = residuals_of(static), (x, y, jnp.ones(64))
    certificate = certify(residuals, params, data)
    if not bool(certificate.verify(residuals, params, data).ok):
        raise RuntimeError(f"{type(model).__name__}: the certificate is contradicted by differences")
    blocks = None if certificate.blocks is None else len(certificate.blocks)
    return certificate, Expected(certificate.family, certificate.degree, certificate.affine_set.size, blocks)


def main() -> None:
    chosen = options(__doc__).parse_args()
    rows = []
    for name, model, expected in list(cases())[:: 5 if chosen.quick else 1]:
        certificate, found = verdict(model)
        obstruction = certificate.obstructions[0] if certificate.obstructions else None
        rows.append(
            [
                name,
                found.family,
                "–" if found.degree is None else found.degree,
                f"{found.affine} of {certificate.size}",
                "–" if found.blocks is None else found.blocks,
                "–" if obstruction is None else obstruction.reason,
                "yes" if found == expected else f"no: {tuple(expected)}",
            ]
        )
    head = ["model", "family", "degree", "jointly affine", "blocks", "first obstruction", "as expected"]
    write(chosen.out, "verdicts", "The interpolating family before the closure check", 0, table(head, rows))


if __name__ == "__main__":
    main()
