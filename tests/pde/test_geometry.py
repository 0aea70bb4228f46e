"""Images of boxes: polar maps stay products, wavy ones are few, rates are those of theory, and folded maps are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.basis import BSpline

from .problems import PI, both, box, u, v, x, y


def manufactured(mapping):
    """The load of sin(pi x) sin(pi y) of the box on its image."""
    answer = lambda p: jnp.sin(PI * p[0]) * jnp.sin(PI * p[1])

    def flux(p):
        J = jax.jacfwd(mapping.image)(p)
        inverse = jnp.linalg.inv(J)
        return jnp.linalg.det(J) * inverse @ (inverse.T @ jax.grad(answer)(p))

    return inf.pde.function(lambda x, y: -jnp.trace(jax.jacfwd(flux)(jnp.stack([x, y]))))


def test_rates_on_a_wavy_domain():
    mapping = inf.pde.Mapping(
        (x, y),
        lambda p: jnp.array([p[0] + 0.1 * jnp.sin(PI * p[1]), p[1] * (1 + 0.2 * jnp.sin(PI * p[0]))]),
        [(0, 1)] * 2,
    )
    form = mapping.gradients(u, v) - manufactured(mapping) * v
    answer = np.sin(PI * x) * np.sin(PI * y)
    errors = []
    for cells in (8, 16):
        result = inf.solve(form, box(x, y, cells=cells, degree=3, dirichlet=both(x, y)), estimate=False)
        errors.append(result.error(answer))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.15)


def test_annulus_with_a_flux():
    """u = log r on a half annulus: a value inside, the flux outside, nothing through the sides."""
    polar = lambda p: jnp.array([p[0] * jnp.cos(p[1]), p[0] * jnp.sin(p[1])])
    mapping = inf.pde.Mapping((x, y), polar, [(1, 2), (0, PI)])
    space = inf.pde.Space({x: BSpline((1.0, 2.0), 8, 5), y: BSpline((0.0, PI), 4, 5)}, dirichlet={x: "left"})
    result = inf.solve(mapping.gradients(u, v) - 0.5 * mapping.face(x) * v * x.at(2), space)
    assert result.solver == "fast diagonalisation in x, y"
    assert result.error(x.log()) < 1e-7
    assert result.modes == 1


def test_a_map_that_folds_is_refused():
    with pytest.raises(ValueError, match="folds over or collapses at x=0, y=0"):
        inf.pde.Mapping((x, y), lambda p: jnp.array([(p[0] - 0.5) ** 2, p[1]]), [(0, 1)] * 2)
    with pytest.raises(ValueError, match="expected as many"):
        inf.pde.Mapping((x, y), lambda p: jnp.array([p[0], p[1], p[0]]), [(0, 1)] * 2)
