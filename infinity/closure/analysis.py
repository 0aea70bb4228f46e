"""From a function to the terms of its output: trace once, walk by leaves, and by slices where a leaf is not affine."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from . import jax_internals
from .algebra import Algebra, ExhaustedError
from .constants import Constant
from .fields import map_one, union_all
from .interpreter import Cause, Interpreter, Value
from .labels import MOST_LABELS, Keys, Label, Leaf, cuts_of, is_parameter, labelled, leaves_of, partitions
from .packed import Packed
from .terms import CONSTANT, POLYNOMIAL, Level, Term, join, maximal_terms

Partition = tuple[Keys, ...] | None

_BUDGET = 100_000
"""Terms that a walk over slices may handle before it is given up; the walk over leaves has no limit."""


class Finding(NamedTuple):
    """The output's terms in some labels, with what was noted on the way."""

    labels: tuple[Label, ...]
    terms: tuple[Term, ...]
    causes: tuple[Cause, ...]
    assumptions: tuple[str, ...]
    precision: float

    def levels(self) -> list[Level]:
        """Return the class in each label, the others fixed."""
        found = [CONSTANT] * len(self.labels)
        for term in self.terms:
            for number, level in term.items():
                found[number] = join(found[number], level)
        return found


class Analysis(NamedTuple):
    """The output's terms by leaves and by the slices that say most."""

    leaves: tuple[Leaf, ...]
    coarse: Finding
    fine: Finding


def traced(fn: Callable[..., Any], params: Any, args: Sequence[Any]) -> tuple[Any, list[Leaf], int]:
    """Return the program of the output's arrays in the parameter leaves (and in mere specifications)."""
    leaves = leaves_of(params)
    if not leaves:
        raise ValueError(
            f"certify found no parameters: {type(params).__name__} holds no array of floating-point numbers. "
            "Parameters are the inexact arrays among the leaves of `params`; "
            "turn Python numbers into arrays with jax.numpy.asarray."
        )
    flat, structure = jax.tree_util.tree_flatten((params, tuple(args)))
    count = len(jax.tree_util.tree_leaves(params))
    varying = [place for place, leaf in enumerate(flat[:count]) if is_parameter(leaf)]
    abstract = [
        place for place, leaf in enumerate(flat) if isinstance(leaf, jax.ShapeDtypeStruct) and place not in varying
    ]

    def function(*values: Any) -> list[Any]:
        filled = list(flat)
        for place, value in zip((*varying, *abstract), values, strict=True):
            filled[place] = value
        tree, arguments = jax.tree_util.tree_unflatten(structure, filled)
        output = jax.tree_util.tree_leaves(fn(tree, *arguments))
        return [
            leaf
            for leaf in output
            if isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex)
        ]

    specifications = [_specification(flat[place]) for place in (*varying, *abstract)]
    return jax_internals.trace(function, specifications), leaves, len(abstract)


def _specification(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, weak_type=bool(getattr(leaf, "weak_type", False)))


def analyse(fn: Callable[..., Any], params: Any, args: Sequence[Any]) -> Analysis:
    """Find how the parameters enter, by leaves and by slices."""
    program, leaves, others = traced(fn, params, args)
    remembered: dict[Any, Any] = {}
    known: dict[tuple[Partition, ...], Finding] = {}

    def walked(choice: tuple[Partition, ...]) -> Finding:
        if choice not in known:
            known[choice] = _walk(program, leaves, others, choice, remembered)
        return known[choice]

    whole: tuple[Partition, ...] = (None,) * len(leaves)
    coarse = walked(whole)
    levels = coarse.levels()
    open_leaves = [place for place, level in enumerate(levels) if level.kind != POLYNOMIAL or level.degree > 1]
    if not open_leaves:
        return Analysis(tuple(leaves), coarse, coarse)
    cuts = cuts_of(program.jaxpr, len(leaves))
    candidates: dict[int, list[tuple[Keys, ...]]] = {}
    for place in open_leaves:
        bounds = [cuts[place].get(axis, set()) for axis in range(len(leaves[place].shape))]
        candidates[place] = partitions(leaves[place], bounds)
    best: dict[int, tuple[tuple[int, int, int], Partition]] = {
        place: (_score(coarse, leaves, place), None) for place in open_leaves
    }
    for attempt in range(max((len(found) for found in candidates.values()), default=0)):
        choice: list[Partition] = list(whole)
        labels = 0
        for place in open_leaves:
            done = best[place][0][0] == leaves[place].size
            if (
                not done
                and attempt < len(candidates[place])
                and labels + len(candidates[place][attempt]) <= MOST_LABELS
            ):
                choice[place] = candidates[place][attempt]
                labels += len(candidates[place][attempt])
        if tuple(choice) == whole:
            continue
        try:
            finding = walked(tuple(choice))
        except ExhaustedError:
            continue
        for place in open_leaves:
            if choice[place] is not None:
                best[place] = max(
                    best[place], (_score(finding, leaves, place), choice[place]), key=lambda scored: scored[0]
                )
    chosen = tuple(best[place][1] if place in best else None for place in range(len(leaves)))
    try:
        return Analysis(tuple(leaves), coarse, walked(chosen))
    except ExhaustedError:
        return Analysis(tuple(leaves), coarse, coarse)


def _score(finding: Finding, leaves: Sequence[Leaf], position: int) -> tuple[int, int, int]:
    """How many scalars of a leaf are affine, how many at most quadratic, in as few slices as possible."""
    affine = quadratic = count = 0
    levels = finding.levels()
    for number, label in enumerate(finding.labels):
        if label.position != position:
            continue
        leaf = leaves[position]
        size = leaf.size if label.keys is None else int(np.prod([high - low for low, high in label.keys]))
        level = levels[number]
        affine += size * (level.kind == POLYNOMIAL and level.degree <= 1)
        quadratic += size * (level.kind == POLYNOMIAL and level.degree <= 2)
        count += 1
    return affine, quadratic, -count


def _walk(
    program: Any, leaves: Sequence[Leaf], others: int, choice: tuple[Partition, ...], remembered: dict[Any, Any]
) -> Finding:
    walk = Interpreter(Algebra(None if choice == (None,) * len(leaves) else _BUDGET), remembered)
    labels: list[Label] = []
    inputs: list[Value] = []
    for position, (leaf, partition) in enumerate(zip(leaves, choice, strict=True)):
        inputs.append(labelled(leaf, partition, len(labels), walk.algebra.label))
        labels.extend([Label(position, None)] if partition is None else [Label(position, keys) for keys in partition])
    walk.everything = union_all(walk.algebra, *(value for value in inputs if isinstance(value, Packed)))
    for variable in program.jaxpr.invars[len(leaves) :]:
        inputs.append(Constant.unknown(variable.aval.shape, variable.aval.dtype))
    outputs = walk.run(program.jaxpr, program.consts, inputs)
    distinct: set[int] = set()
    for output in outputs:
        if isinstance(output, Packed) and 0 not in output.shape:
            map_one(lambda number: distinct.add(number) or 0, output)
    terms = maximal_terms({term for number in distinct for term in walk.algebra.sets[number]})
    return Finding(tuple(labels), tuple(terms), tuple(walk.causes), tuple(walk.assumptions), walk.precision)
