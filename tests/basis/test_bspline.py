"""Values of B-splines: what defines them, on equal, wild and repeated breakpoints, in both precisions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate

from infinity.basis import AbstractBasis, BSpline

DEGREES = range(8)


def meshes(degree):
    """Equal cells, cells whose lengths differ by 1e6, and cells with repeated breakpoints; all exact in float32."""
    short = 2.0**-20
    wild = np.cumsum([0.0, 1.0, short, 0.5, short, short, 1.0, 2.0**-10, 0.25, 0.25, short, 2.0, 0.125, short, 1.0])
    base = np.arange(14.0 - degree if degree else 15.0) / 8
    repeated = np.concatenate([base, [base[1]] * (degree > 0), [base[2]] * degree])
    return {"equal": np.linspace(0, 1, 15), "wild": wild, "repeated": np.sort(repeated)}


def points(breakpoints, dtype):
    """Points all over the domain, the breakpoints among them."""
    inside = np.random.default_rng(0).uniform(breakpoints[0], breakpoints[-1], 60)
    spans = np.concatenate([breakpoints[:-1] + 0.3 * np.diff(breakpoints), breakpoints, inside])
    return jnp.asarray(np.clip(spans, breakpoints[0], breakpoints[-1]), dtype)


def case(degree, mesh, dtype):
    """A basis and points; the shapes are the same on all meshes, so that they share one compilation."""
    breakpoints = meshes(degree)[mesh]
    return BSpline(breakpoints=jnp.asarray(breakpoints, dtype), degree=degree), points(breakpoints, dtype)


@eqx.filter_jit
def table(b, t, orders=(0,)):
    """Derivatives of the static `orders` of all functions at all points: `(orders, points, size)`."""
    return jnp.stack([jax.vmap(lambda t, order=order: b.derivative(t, order))(t) for order in orders])


MESHES = ["equal", "wild", "repeated"]


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("degree", DEGREES)
def test_values_are_non_negative_local_and_sum_to_one(degree, mesh, dtype):
    b, t = case(degree, mesh, dtype)
    values = np.asarray(table(b, t)[0])
    assert values.dtype == dtype
    assert values.shape == (t.shape[0], b.size)
    assert b.size == b.elements + degree
    assert values.min() >= 0
    np.testing.assert_allclose(values.sum(1), 1, atol=10 * np.finfo(dtype).eps)
    knots = np.pad(np.asarray(b.breakpoints), degree, mode="edge")
    outside = (np.asarray(t)[:, None] < knots[: b.size]) | (np.asarray(t)[:, None] > knots[degree + 1 :])
    assert np.all(values[outside] == 0)
    assert outside.any()


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("degree", range(10))
def test_agrees_with_scipy_in_every_derivative(degree, mesh):
    b, t = case(degree, mesh, jnp.float64)
    knots = np.pad(np.asarray(b.breakpoints), degree, mode="edge")
    reference = scipy.interpolate.BSpline(knots, np.eye(b.size), degree)
    for order, ours in enumerate(np.asarray(table(b, t, tuple(range(degree + 1))))):
        theirs = np.asarray(reference(np.asarray(t), nu=order))
        # Row by row: next to a short cell derivatives are 1e6^order times larger than elsewhere.
        scale = np.abs(theirs).max(1, keepdims=True) + 1e-300
        assert np.all(np.abs(ours - theirs) <= 2e-9 * scale), order
        assert np.median(np.abs(ours - theirs) / scale) < 1e-14


@pytest.mark.parametrize("degree", DEGREES)
def test_marsden_identity_reproduces_polynomials(degree, dtype):
    r"""`(x - t)^p = sum_i prod_{k=1}^p (x - U_{i+k}) B_i(t)` for every `x`: all polynomials up to the degree."""
    b, t = case(degree, "equal", dtype)
    knots = np.pad(np.asarray(b.breakpoints, np.float64), degree, mode="edge")
    for x in (-0.5, 0.3, 2.0):
        coefficients = [np.prod(x - knots[i + 1 : i + degree + 1]) for i in range(b.size)]
        spline = np.asarray(table(b, t)[0]) @ np.asarray(coefficients, dtype)
        scale = max(abs(x), abs(x - 1)) ** degree
        np.testing.assert_allclose(spline, (x - np.asarray(t)) ** degree, atol=20 * np.finfo(dtype).eps * scale)


@pytest.mark.parametrize("degree", DEGREES)
def test_ends_interpolate_exactly(degree, dtype):
    b = BSpline(domain=(jnp.asarray(-0.7, dtype), jnp.asarray(2.3, dtype)), elements=7, degree=degree)
    low, high = b.domain
    assert low == jnp.asarray(-0.7, dtype)
    assert high == jnp.asarray(2.3, dtype)
    assert np.array_equal(b(low), np.eye(b.size)[0])
    assert np.array_equal(b(high), np.eye(b.size)[-1])


@pytest.mark.parametrize("degree", range(1, 6))
def test_end_derivatives_are_one_sided(degree):
    b = BSpline(elements=4, degree=degree)
    # u' = p (c_1 - c_0) / h at the left end, p (c_{n-1} - c_{n-2}) / h at the right one.
    slope = np.zeros(b.size)
    slope[:2] = -4 * degree, 4 * degree
    np.testing.assert_allclose(b.derivative(0.0), slope, rtol=1e-14)
    np.testing.assert_allclose(b.derivative(1.0), -slope[::-1], rtol=1e-14)
    for near, end in table(b, jnp.asarray([1.0 - 1e-9, 1.0]), tuple(range(degree + 2))):
        np.testing.assert_allclose(end, near, atol=1e-6 * (1 + np.abs(near).max()))


def test_right_continuous_inside_and_continued_outside():
    b = BSpline(breakpoints=[0.0, 1.0, 1.0, 2.0], degree=1)  # a jump at 1
    np.testing.assert_array_equal(b(1.0), [0, 0, 1, 0])
    np.testing.assert_allclose(b(1.0 - 1e-12), [0, 1, 0, 0], atol=1e-11)
    straight = b.greville()
    for t in (-3.0, 5.0):
        np.testing.assert_allclose(b(t) @ straight, t, rtol=1e-14)
    assert [int(b.locate(t)) for t in (-9.0, 0.0, 0.5, 1.0, 2.0, 9.0)] == [0, 0, 0, 2, 2, 2]


@pytest.mark.parametrize("elements", [1, 2, 64, 65, 66, 500])
def test_locate_agrees_with_a_search_on_small_and_large_meshes(elements):
    b = BSpline(domain=(-1.0, 3.0), elements=elements)
    edges = np.asarray(b.breakpoints)
    t = np.concatenate([edges, edges - 1e-12, np.random.default_rng(0).uniform(-1.5, 3.5, 200)])
    expected = np.clip(np.searchsorted(edges, t, side="right") - 1, 0, elements - 1)
    assert np.array_equal(jax.jit(jax.vmap(b.locate))(t), expected)


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_local_form_is_the_full_one_without_zeros(order, dtype):
    b, t = case(3, "wild", dtype)
    first, values = jax.jit(jax.vmap(lambda t: b.local(t, order)))(t)
    assert values.shape == (t.shape[0], 4)
    full = np.zeros((t.shape[0], b.size), dtype)
    full[np.arange(t.shape[0])[:, None], np.asarray(first)[:, None] + np.arange(4)] = values
    np.testing.assert_array_equal(full, jax.jit(jax.vmap(lambda t: b.derivative(t, order)))(t))


@pytest.mark.parametrize("degree", [0, 1, 3, 6])
def test_greville_abscissae_give_the_straight_line(degree, dtype):
    b, t = case(degree, "equal", dtype)
    greville = np.asarray(b.greville())
    assert greville.dtype == dtype
    assert np.all(np.diff(greville) > 0)
    if degree > 0:
        np.testing.assert_allclose(table(b, t)[0] @ greville, t, atol=4 * np.finfo(dtype).eps)
        assert (greville[0], greville[-1]) == b.domain


def test_dtype_follows_the_input():
    narrow = BSpline(domain=(np.float32(0), np.float32(1)))
    assert BSpline().breakpoints.dtype == jnp.float64
    assert narrow.breakpoints.dtype == jnp.float32
    assert narrow(0.5).dtype == narrow(1).dtype == narrow(jnp.float32(0.5)).dtype == jnp.float32
    assert narrow(jnp.float64(0.5)).dtype == narrow(np.float64(0.5)).dtype == jnp.float64
    assert BSpline(domain=(0, 1)).breakpoints.dtype == BSpline(breakpoints=[0, 1, 2]).breakpoints.dtype == jnp.float64


def test_jit_is_traced_once_and_equals_eager_and_vmap_a_loop(dtype):
    traces = 0

    @eqx.filter_jit
    def evaluate(b, t):
        nonlocal traces
        traces += 1
        return b(t)

    for upper in (1.0, 2.0):
        b = BSpline(domain=(jnp.asarray(0, dtype), jnp.asarray(upper, dtype)))
        t = jnp.linspace(0, 1, 7, dtype=dtype)
        loop = jnp.stack([b(x) for x in t])
        np.testing.assert_allclose(jnp.stack([evaluate(b, x) for x in t]), loop, atol=2 * np.finfo(dtype).eps)
        np.testing.assert_allclose(jax.vmap(b)(t), loop, atol=2 * np.finfo(dtype).eps)
    assert traces == 1


def test_a_basis_can_be_built_from_traced_breakpoints():
    inner = jnp.asarray([[0.2, 0.5], [0.4, 0.4], [0.1, 0.9]])

    def build(inner):
        return BSpline(breakpoints=jnp.concatenate([jnp.zeros(1), inner, jnp.ones(1)]), degree=2)(0.45)

    batched = jax.jit(jax.vmap(build))(inner)
    np.testing.assert_allclose(batched, jnp.stack([build(row) for row in inner]), rtol=1e-14)
    ends = jax.jit(lambda low, high: BSpline(domain=(low, high), elements=3)(0.5))(0.0, 1.0)
    np.testing.assert_allclose(ends, BSpline(elements=3)(0.5), rtol=1e-14)


def test_one_interface():
    b = BSpline(elements=5, degree=2)
    assert isinstance(b, AbstractBasis)
    assert len(jax.tree.leaves(b)) == 1  # the breakpoints; the degree is static
    assert jax.tree.structure(b) == jax.tree.structure(BSpline(elements=9, degree=2))
    assert jax.tree.structure(b) != jax.tree.structure(BSpline(elements=5, degree=3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"breakpoints": [0.0, 2.0, 1.0]}, "rising order"),
        ({"breakpoints": [0.0, np.nan, 1.0]}, "finite"),
        ({"breakpoints": [0.0, np.inf]}, "finite"),
        ({"breakpoints": [0.0]}, "at least two"),
        ({"breakpoints": [[0.0, 1.0]]}, "one dimension"),
        ({"breakpoints": [0.0, 0.0, 1.0]}, "end 0.0 is given more than once"),
        ({"breakpoints": [0.0, 1.0, 1.0]}, "end 1.0 is given more than once"),
        ({"breakpoints": [0.0, 0.5, 0.5, 0.5, 1.0], "degree": 1}, "at most 2 times"),
        ({"breakpoints": [0.0, 0.5, 0.5, 1.0], "degree": 0}, "at most 1 times"),
        ({"domain": (1.0, 1.0)}, "first end below the second"),
        ({"domain": (0.0, np.nan)}, "first end below the second"),
        ({"domain": (0.0, np.inf)}, "two finite ends"),
        ({"elements": 0}, "at least 1"),
        ({"degree": -1}, "0 or more"),
        ({"domain": (np.float32(1), np.float32(1.00001)), "elements": 5000}, "this degree|more than once"),
    ],
)
def test_bad_input_is_refused_with_a_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        BSpline(**arguments)
    with pytest.raises(ValueError, match=message):  # numbers known at trace time are checked there too
        jax.jit(lambda: BSpline(**arguments).breakpoints)()


def test_negative_orders_are_refused():
    b = BSpline()
    for call in (lambda: b.derivative(0.5, -1), lambda: b.local(0.5, -2), lambda: b.gram(-1, 0)):
        with pytest.raises(ValueError, match="0 or more"):
            call()
