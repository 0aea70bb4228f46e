r"""Parameters by name: leaves, and the slices into which a leaf is cut when it is not affine as a whole.

\[ \theta = (\theta_1, \dots, \theta_L) \in \mathbb R^n, \qquad \theta_l = \bigcup_j \theta_l[\text{slice}_j]. \]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from . import jax_internals
from .packed import Packed, pack, uniform

MOST_SLICES = 64
MOST_LABELS = 512

Keys = tuple[tuple[int, int], ...]
"""Lower and upper bound of a slice along each axis."""


def indexing_keys(keys: Keys) -> tuple[slice, ...]:
    """Return the slice as NumPy takes it."""
    return tuple(slice(low, high) for low, high in keys)


class Leaf(NamedTuple):
    """One trainable array: where it stands in the tree, and where its entries stand among all parameters."""

    path: str
    shape: tuple[int, ...]
    dtype: Any
    start: int

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(np.prod(self.shape))


class Label(NamedTuple):
    """A leaf (no keys) or a slice of one."""

    position: int
    keys: Keys | None


@dataclass(frozen=True, eq=False)
class Part:
    """A leaf or a slice of one, as it stands in a block.

    ```python
    >>> from infinity.closure import Part
    >>> Part(".coefficients", 0, "[:, 2]").name
    '.coefficients[:, 2]'

    ```

    **Fields:** `leaf` is its path in the tree, `position` its place among the parameter leaves, `slice` the slice as it
    would be written, `None` for the whole leaf, and `name` both together.
    """

    leaf: str
    position: int
    slice: str | None

    @property
    def name(self) -> str:
        """Path and slice, to be printed."""
        return self.leaf + (self.slice or "")


@dataclass(frozen=True, eq=False)
class Block:
    """A set of parameters that may be solved for together.

    ```python
    >>> import jax.numpy as jnp
    >>> from infinity.closure import certify
    >>> certificate = certify(lambda p: p[0] * p[1] + p[2], jnp.ones((3, 2)))
    >>> [(block.names, block.indices.tolist()) for block in certificate.blocks]
    [(('params[0]', 'params[2]'), [0, 1, 4, 5]), (('params[1]',), [2, 3])]

    ```

    **Fields:** `parts` names the leaves and slices; `indices`, shape `(size,)`, holds the sorted positions of their
    entries in the concatenation of the ravelled parameter leaves.
    """

    parts: tuple[Part, ...]
    indices: np.ndarray

    @property
    def size(self) -> int:
        """The number of scalar parameters."""
        return len(self.indices)

    @property
    def names(self) -> tuple[str, ...]:
        """The parts by name."""
        return tuple(part.name for part in self.parts)

    def __repr__(self) -> str:
        return f"Block({', '.join(self.names)}: {self.size} parameters)"


def is_parameter(leaf: Any) -> bool:
    """Whether a leaf is a floating-point (or complex) array, or a specification of one."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return not jax_internals.is_key_type(leaf.dtype) and bool(jax.numpy.issubdtype(leaf.dtype, np.inexact))
    return bool(eqx.is_inexact_array(leaf))


def leaves_of(params: Any) -> list[Leaf]:
    """Return the parameter leaves of a tree in the order of `ravel_pytree`."""
    found, start = [], 0
    for path, value in jax.tree_util.tree_flatten_with_path(params)[0]:
        if is_parameter(value):
            leaf = Leaf(jax.tree_util.keystr(path) or "params", tuple(value.shape), value.dtype, start)
            found.append(leaf)
            start += leaf.size
    return found


def partitions(leaf: Leaf, cuts: Sequence[set[int]]) -> list[tuple[Keys, ...]]:
    """Return the cuts of a leaf to be tried: where the program itself cuts it, along each axis, and into entries."""
    found: list[tuple[Keys, ...]] = []
    whole = [(0, length) for length in leaf.shape]

    def along(axis: int, pieces: Sequence[tuple[int, int]]) -> None:
        if 1 < len(pieces) <= MOST_SLICES:
            candidate = tuple(
                tuple(piece if place == axis else key for place, key in enumerate(whole)) for piece in pieces
            )
            if candidate not in found:
                found.append(candidate)

    for axis, bounds in enumerate(cuts):
        edges = sorted({0, leaf.shape[axis]} | bounds)
        along(axis, list(pairwise(edges)))
    for axis, length in enumerate(leaf.shape):
        along(axis, [(place, place + 1) for place in range(length)])
    if len(leaf.shape) > 1 and 1 < leaf.size <= MOST_SLICES:
        candidate = tuple(tuple((place, place + 1) for place in places) for places in product(*map(range, leaf.shape)))
        if candidate not in found:
            found.append(candidate)
    return sorted(found, key=len)


def cuts_of(program: Any, count: int) -> list[dict[int, set[int]]]:
    """For each input of a program, the bounds at which it is sliced or split, by axis."""
    found: list[dict[int, set[int]]] = [{} for _ in range(count)]

    def visit(jaxpr: Any, known: dict[Any, int]) -> None:
        for equation in jaxpr.eqns:
            inputs = [None if isinstance(atom, jax_internals.Literal) else known.get(atom) for atom in equation.invars]
            called = jax_internals.sub_program(equation)
            if called is not None and len(called[0].invars) == len(inputs):
                visit(
                    called[0],
                    {
                        variable: place
                        for variable, place in zip(called[0].invars, inputs, strict=True)
                        if place is not None
                    },
                )
            if not inputs or inputs[0] is None:
                continue
            bounds = found[inputs[0]]
            if equation.primitive.name == "slice":
                limits = zip(equation.params["start_indices"], equation.params["limit_indices"], strict=True)
                for axis, (low, high) in enumerate(limits):
                    bounds.setdefault(axis, set()).update((low, high))
            elif equation.primitive.name == "split":
                bounds.setdefault(equation.params["axis"], set()).update(
                    int(edge) for edge in np.cumsum(equation.params["sizes"])
                )

    visit(program, {variable: place for place, variable in enumerate(program.invars[:count])})
    return found


def labelled(leaf: Leaf, partition: tuple[Keys, ...] | None, first: int, value_of: Any) -> Packed:
    """Return a leaf as an array of values, one for each label, numbered from `first`."""
    if partition is None or 0 in leaf.shape:
        return uniform(value_of(first), leaf.shape)
    result = np.zeros(leaf.shape, np.int32)
    for number, keys in enumerate(partition):
        result[indexing_keys(keys)] = value_of(first + number)
    return pack(result)


def block(leaves: Sequence[Leaf], labels: Sequence[Label], chosen: Sequence[int]) -> Block:
    """Return the block of some labels; neighbouring slices are written as one."""
    by_leaf: dict[int, list[Keys]] = {}
    totals: dict[int, int] = {}
    for label in labels:
        totals[label.position] = totals.get(label.position, 0) + 1
    whole: set[int] = set()
    for number in chosen:
        label = labels[number]
        if label.keys is None:
            whole.add(label.position)
        else:
            by_leaf.setdefault(label.position, []).append(label.keys)
    parts, indices = [], []
    for position in sorted(whole | set(by_leaf)):
        leaf = leaves[position]
        places = leaf.start + np.arange(leaf.size).reshape(leaf.shape)
        if position in whole or len(by_leaf[position]) == totals[position]:
            parts.append(Part(leaf.path, position, None))
            indices.append(places.reshape(-1))
            continue
        for keys in _merged(by_leaf[position]):
            parts.append(Part(leaf.path, position, _written(keys, leaf.shape)))
            indices.append(places[indexing_keys(keys)].reshape(-1))
    joined = np.sort(np.concatenate(indices)) if indices else np.zeros(0, int)
    return Block(tuple(parts), joined.astype(int))


def _merged(keys: list[Keys]) -> list[Keys]:
    result: list[Keys] = []
    for current in keys:
        if result:
            differing = [
                axis for axis, (one, other) in enumerate(zip(result[-1], current, strict=True)) if one != other
            ]
            if len(differing) == 1 and result[-1][differing[0]][1] == current[differing[0]][0]:
                axis = differing[0]
                joined = (result[-1][axis][0], current[axis][1])
                result[-1] = tuple(joined if place == axis else key for place, key in enumerate(current))
                continue
        result.append(current)
    return result


def _written(keys: Keys, shape: tuple[int, ...]) -> str:
    texts = []
    for (low, high), length in zip(keys, shape, strict=True):
        texts.append(":" if (low, high) == (0, length) else str(low) if high == low + 1 else f"{low}:{high}")
    while len(texts) > 1 and texts[-1] == ":":
        texts.pop()
    return f"[{', '.join(texts)}]"
