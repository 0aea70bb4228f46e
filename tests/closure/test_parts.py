"""The parts that the analysis stands on, each against something independent: NumPy, JAX, exhaustive search."""

from itertools import combinations, product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infinity.closure import packed, sets
from infinity.closure.algebra import ONE, ZERO, Algebra
from infinity.closure.fields import accumulate, contract, join_axes, map_two, product_axes
from infinity.closure.folding import fold
from infinity.closure.packed import full, pack
from infinity.closure.terms import ENTIRE, OPAQUE, OPEN, POLYNOMIAL, RECIPROCAL, degree_within

RANDOM = np.random.default_rng(0)


def repeating(*shape):
    """An array that is uniform along a random choice of axes."""
    lengths = [length if RANDOM.random() < 0.5 else 1 for length in shape]
    return np.broadcast_to(RANDOM.integers(0, 5, lengths), shape)


@pytest.mark.parametrize("trial", range(20))
def test_packed_moves_agree_with_numpy(trial):
    array = repeating(2, 3, 4)
    value = pack(array)
    assert (full(value) == array).all()
    assert all(core in (1, length) for core, length in zip(value.core.shape, array.shape, strict=True))
    for shape in ((24,), (6, 4), (2, 12), (4, 6), (2, 1, 3, 4), (2, 3, 2, 2)):
        assert (full(packed.reshape(value, shape)) == array.reshape(shape)).all()
    assert (full(packed.transpose(value, (2, 0, 1))) == array.transpose(2, 0, 1)).all()
    assert (full(packed.cut(value, (0, 1, 0), (2, 3, 4), (1, 1, 3))) == array[:, 1:3, 0:4:3]).all()
    assert (full(packed.reverse(value, (1, 2))) == array[:, ::-1, ::-1]).all()
    other = repeating(2, 2, 4)
    assert (full(packed.concatenate([value, pack(other)], 1)) == np.concatenate([array, other], 1)).all()
    assert (full(packed.stack([value, value], 1)) == np.stack([array, array], 1)).all()
    configuration = ((1, -1, 0), (0, 2, 1), (-1, 0, 0))
    expected = np.asarray(jax.lax.pad(jnp.asarray(array), jnp.asarray(7), configuration))
    assert (full(packed.pad(value, 7, configuration, expected.shape)) == expected).all()


def folded(function, *arrays):
    """A function's only equation, folded on the host."""
    program = jax.make_jaxpr(function)(*arrays)
    (equation,) = [equation for equation in program.jaxpr.eqns if equation.primitive.name == function.__name__]
    (result,) = fold(equation, [pack(np.asarray(array)) for array in arrays])
    return full(result)


@pytest.mark.parametrize("trial", range(10))
def test_gathers_agree_with_jax(trial):
    operand = jnp.asarray(repeating(3, 4, 5).copy())

    def gather(operand, indices):
        numbers = jax.lax.GatherDimensionNumbers(offset_dims=(1, 2), collapsed_slice_dims=(1,), start_index_map=(2, 1))
        return jax.lax.gather(operand, indices, numbers, (3, 1, 2), mode="clip")

    indices = jnp.asarray(RANDOM.integers(-1, 7, (6, 2)))
    assert (folded(gather, operand, indices) == np.asarray(gather(operand, indices))).all()

    rows = jnp.asarray(RANDOM.integers(-1, 5, (3, 1)))

    def gather(operand, indices):  # one slice of each row
        numbers = jax.lax.GatherDimensionNumbers((1, 2), (), (1,), (0,), (0,))
        return jax.lax.gather(operand, indices, numbers, (1, 2, 5), mode="clip")

    assert (folded(gather, operand, rows) == np.asarray(gather(operand, rows))).all()


@pytest.mark.parametrize("trial", range(30))
def test_the_largest_independent_set_is_largest(trial):
    count = 9
    edges = {pair for pair in combinations(range(count), 2) if RANDOM.random() < 0.35}
    conflicts = [{b for a, b in edges if a == v} | {a for a, b in edges if b == v} for v in range(count)]
    weights = [int(weight) for weight in RANDOM.integers(1, 10, count)]
    found = sets.maximum_weight_set(weights, conflicts)
    assert not any(b in conflicts[a] for a, b in combinations(found, 2))
    subsets = (chosen for size in range(count + 1) for chosen in combinations(range(count), size))
    best = max(
        sum(weights[v] for v in chosen)
        for chosen in subsets
        if not any(pair in edges for pair in combinations(chosen, 2))
    )
    assert sum(weights[v] for v in found) == best
    blocks = sets.colouring(weights, conflicts)
    assert sorted(v for block in blocks for v in block) == list(range(count))
    assert not any(b in conflicts[a] for block in blocks for a, b in combinations(block, 2))
    fewest = (
        next(
            k
            for k in range(1, count + 1)
            if any(all(c[a] != c[b] for a, b in edges) for c in product(range(k), repeat=count))
        )
        if trial < 4
        else len(blocks)
    )
    assert len(blocks) == fewest


def test_large_graphs_stay_fast_and_valid():
    count = 400
    conflicts = [set() for _ in range(count)]
    for a, b in combinations(range(count), 2):
        if RANDOM.random() < 0.02:
            conflicts[a].add(b)
            conflicts[b].add(a)
    for chosen in (sets.maximum_weight_set([1] * count, conflicts), *sets.colouring([1] * count, conflicts)):
        assert not any(b in conflicts[a] for a, b in combinations(chosen, 2))


def test_algebra_laws():
    algebra = Algebra()
    a, b, c = (algebra.label(label) for label in range(3))
    values = [
        ZERO,
        ONE,
        a,
        b,
        algebra.add(a, c),
        algebra.multiply(a, b),
        algebra.apply(ENTIRE, a, 0),
        algebra.apply(OPAQUE, b, 1),
    ]
    for x, y, z in product(values, repeat=3):
        assert algebra.add(x, y) == algebra.add(y, x)
        assert algebra.multiply(x, y) == algebra.multiply(y, x)
        assert algebra.multiply(algebra.multiply(x, y), z) == algebra.multiply(x, algebra.multiply(y, z))
        left, right = (
            algebra.multiply(x, algebra.add(y, z)),
            algebra.add(algebra.multiply(x, y), algebra.multiply(x, z)),
        )
        assert left == right
    assert algebra.power(algebra.add(a, b), 5) == algebra.multiply(
        algebra.power(algebra.add(a, b), 2), algebra.power(algebra.add(a, b), 3)
    )
    assert algebra.multiply(a, ZERO) == ZERO


def test_degrees_of_sums_and_products():
    algebra = Algebra()
    a, b, c = (algebra.label(label) for label in range(3))
    (term,) = algebra.sets[algebra.multiply(algebra.add(a, ONE), algebra.multiply(b, b))]
    assert term.joint == (POLYNOMIAL, 3, ())
    assert [degree_within(term, labels) for labels in ([0], [1], [0, 1], [2])] == [1, 2, 3, 0]
    (inverse,) = algebra.sets[algebra.apply(RECIPROCAL, algebra.add(a, algebra.apply(OPAQUE, c, 3)), 4)]
    assert dict(inverse.items())[0].causes == (4,)
    assert dict(inverse.items())[2] == (OPEN, 0, (3,))


def test_above_the_cap_terms_merge_upwards():
    """Sixty-five products of pairs become one term that covers each of them."""
    algebra = Algebra()
    pairs = [algebra.multiply(algebra.label(2 * k), algebra.label(2 * k + 1)) for k in range(65)]
    (whole,) = algebra.sets[algebra.union(pairs)]
    assert whole.joint == (POLYNOMIAL, 2, ())
    assert degree_within(whole, [0, 1]) == 2
    linear = algebra.union(algebra.label(k) for k in range(200))
    assert degree_within(algebra.sets[linear][0], range(200)) == 1


@pytest.mark.parametrize("trial", range(10))
def test_fields_agree_entry_by_entry(trial):
    algebra = Algebra()
    values = np.array([ZERO, ONE, *(algebra.label(k) for k in range(3))], np.int32)
    left, right = values[repeating(2, 3, 4)], values[repeating(2, 4, 3)]
    a, b = pack(left), pack(right)
    joined = full(join_axes(algebra, a, (0, 2)))
    multiplied = full(product_axes(algebra, a, (1,)))
    dotted = full(contract(algebra, a, b, ((2,), (1,)), ((0,), (0,)), (2, 3, 3)))
    summed = full(accumulate(algebra, a, 2, False, False))
    for i in range(3):
        assert joined[i] == algebra.union(int(v) for v in left[:, i].ravel())
    for n, k in product(range(2), range(4)):
        expected = ONE
        for value in left[n, :, k]:
            expected = algebra.multiply(expected, int(value))
        assert multiplied[n, k] == expected
    for n, i, j in product(range(2), range(3), range(3)):
        assert dotted[n, i, j] == algebra.union(
            algebra.multiply(int(x), int(y)) for x, y in zip(left[n, i], right[n, :, j], strict=True)
        )
        assert summed[n, i, j] == algebra.union(int(v) for v in left[n, i, : j + 1])
    assert (full(map_two(algebra.add, a, a, a.shape)) == left).all()
