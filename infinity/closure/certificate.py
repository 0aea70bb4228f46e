r"""The closure check: how each trainable leaf of a model enters its output.

\[ r(\theta) = \sum_t \prod_{l} f_{tl}(\theta_l), \qquad f_{tl} \in \text{affine} \subset \text{polynomial} \subset
\text{exponential} \subset
\text{rational} \subset \text{open}. \]

A certificate never calls something affine that is not: what the analysis does not know, it calls open, and names it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax

from ..precision import full_products
from . import rules  # noqa: F401 (fills the table of rules)
from .analysis import Analysis, Finding, analyse
from .labels import Block, Leaf, block
from .report import describe
from .sets import colouring, maximum_weight_set, partition
from .terms import CONSTANT, FAMILIES, POLYNOMIAL, REPARAMETRISABLE, Level, degree_within, join
from .verification import Verification, verify


@dataclass(frozen=True, eq=False)
class Obstruction:
    """Why a leaf is open.

    ```python
    >>> import jax.numpy as jnp
    >>> from infinity.closure import certify
    >>> (obstruction,) = certify(lambda w: jnp.sin(w**2), jnp.ones(2)).obstructions
    >>> obstruction.leaf, obstruction.primitive, "reparametrisable" in obstruction.reason
    ('params', 'sin', True)

    ```

    **Fields:** `leaf`, the path of the leaf (several, if only their combination is open); `primitive`, the operation;
    `file` and `line`, where it stands in the user's own code; `reason`, in words.
    """

    leaf: str
    primitive: str
    file: str | None
    line: int | None
    reason: str

    def __str__(self) -> str:
        where = f" at {self.file}:{self.line}" if self.file else ""
        return f"{self.leaf}, through {self.primitive}{where}: {self.reason}"


@dataclass(frozen=True, eq=False)
class Certificate:
    """How the parameters of a function enter its output; see `certify`.

    ```python
    >>> import jax.numpy as jnp
    >>> from infinity.closure import certify
    >>> print(certify(lambda p: p[0] * p[1], (jnp.ones(2), jnp.ones(2))))
    The output is a polynomial of degree 2 in the 4 parameters in 2 leaves.
    Solved exactly: each of 2 blocks with the others fixed ([0]; [1]).
    Eliminated exactly: [0] (2 parameters, jointly affine); iterated on: the other 2.

    ```

    **Fields:**

    - `family`: `"constant"`, `"affine"`, `"polynomial"`, `"exponential"`, `"rational"` or `"open"`, in all parameters
        together.
    - `degree`: the total degree in all parameters, None where it is no polynomial. Degrees are upper bounds.
    - `degrees`, `families`: the same for each leaf alone, the others fixed, by the leaf's path.
    - `affine`: the leaves that enter affinely one at a time.
    - `affine_set`: the largest set of parameters that is affine jointly.
    - `blocks`: a partition of all parameters into jointly affine sets, None where there is none.
    - `quadratic_blocks`: a partition into sets in each of which the function is of degree two at most, None where there
        is none.
    - `obstructions`: for each open leaf the operation, file and line, and reason.
    - `assumptions`: what the verdict rests on, in sentences.
    - `leaves`, `shapes`, `size`: the parameter leaves by path, their shapes, and the number of scalars.
    - `precision`: the relative rounding of the coarsest arithmetic that parameters pass through.
    """

    family: str
    degree: int | None
    degrees: dict[str, int | None]
    families: dict[str, str]
    affine: tuple[str, ...]
    affine_set: Block
    blocks: tuple[Block, ...] | None
    quadratic_blocks: tuple[Block, ...] | None
    obstructions: tuple[Obstruction, ...]
    assumptions: tuple[str, ...]
    leaves: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    size: int
    precision: float

    @property
    def closed(self) -> bool:
        """Whether the function is closed under shifts of its parameters, all together."""
        return self.family != "open"

    def verify(self, fn: Callable[..., Any], params: Any, *args: Any, key: jax.Array | None = None) -> Verification:
        """Check this certificate by differences at random points; see `Verification`."""
        return verify(self, fn, params, args, key)

    def __str__(self) -> str:
        return describe(self)

    def __repr__(self) -> str:
        return (
            f"Certificate(family={self.family!r}, degree={self.degree}, affine={list(self.affine)}, size={self.size})"
        )


@full_products
def certify(fn: Callable[..., Any], params: Any, *args: Any) -> Certificate:
    r"""How the parameters enter `fn(params, *args)`.

    \[ \theta \mapsto r(\theta) = \texttt{fn}(\theta, \text{args}):
    \quad \text{family, degrees, jointly affine sets, obstructions.} \]

    The function is traced, not run, and the traced program is interpreted abstractly.

    **Arguments:**

    - `fn`: returns residuals or a scalar loss: any tree of arrays.
    - `params`: any tree or Equinox module; its floating-point arrays are the parameters, everything else is held
        constant. Shapes and dtypes are enough (`jax.ShapeDtypeStruct`), and tracers of an outer `jit` or `vmap` are
        welcome.
    - `args`: data, held constant. Inside `jit` they are tracers and taken for unknown constants.

    **Returns:** a `Certificate`.

    **Raises:** `ValueError` if `params` holds no floating-point array.

    ```python
    >>> import jax.numpy as jnp
    >>> from infinity.closure import certify
    >>> def residuals(params, x, y):
    ...     amplitude, rate = params
    ...     return amplitude * jnp.exp(rate * x) - y
    >>> x = jnp.linspace(0.0, 1.0, 5)
    >>> certificate = certify(residuals, (jnp.ones(()), jnp.ones(())), x, x)
    >>> certificate.family, certificate.affine, certificate.affine_set.names
    ('exponential', ('[0]',), ('[0]',))

    ```
    """
    return certificate_of(analyse(fn, params, args))


def certificate_of(analysis: Analysis) -> Certificate:
    """Read the certificate off the terms of the output."""
    leaves, coarse, fine = analysis.leaves, analysis.coarse, analysis.fine
    levels = coarse.levels()
    joint = CONSTANT
    for term in coarse.terms:
        joint = join(joint, term.joint)
    fine_levels = fine.levels()
    weights = [block(leaves, fine.labels, [number]).size for number in range(len(fine.labels))]
    alone = [number for number, level in enumerate(fine_levels) if level.kind == POLYNOMIAL and level.degree <= 1]
    conflicts = _conflicts(fine, alone)
    chosen = maximum_weight_set([weights[number] for number in alone], conflicts)
    blocks = None
    if len(alone) == len(fine.labels):
        blocks = tuple(block(leaves, fine.labels, members) for members in colouring(weights, conflicts))
    return Certificate(
        family=_family(joint),
        degree=joint.degree if joint.kind == POLYNOMIAL else None,
        degrees={
            leaf.path: level.degree if level.kind == POLYNOMIAL else None
            for leaf, level in zip(leaves, levels, strict=True)
        },
        families={leaf.path: _family(level) for leaf, level in zip(leaves, levels, strict=True)},
        affine=tuple(
            leaf.path
            for leaf, level in zip(leaves, levels, strict=True)
            if level.kind == POLYNOMIAL and level.degree <= 1
        ),
        affine_set=block(leaves, fine.labels, [alone[number] for number in chosen]),
        blocks=blocks,
        quadratic_blocks=_quadratic(leaves, fine),
        obstructions=_obstructions(leaves, coarse, levels, joint),
        assumptions=fine.assumptions,
        leaves=tuple(leaf.path for leaf in leaves),
        shapes=tuple(leaf.shape for leaf in leaves),
        size=int(sum(leaf.size for leaf in leaves)),
        precision=coarse.precision,
    )


def _family(level: Level) -> str:
    if level.kind == POLYNOMIAL and level.degree <= 1:
        return ("constant", "affine")[level.degree]
    return FAMILIES[level.kind]


def _conflicts(finding: Finding, alone: list[int]) -> list[set[int]]:
    """For each affine label, those that some term multiplies it with."""
    place = {number: index for index, number in enumerate(alone)}
    conflicts: list[set[int]] = [set() for _ in alone]
    for term in finding.terms:
        if term.joint.kind == POLYNOMIAL and term.joint.degree <= 1:
            continue
        present = [place[number] for number, _ in term.items() if number in place]
        for index in present:
            conflicts[index].update(other for other in present if other != index)
    return conflicts


def _quadratic(leaves: tuple[Leaf, ...], finding: Finding) -> tuple[Block, ...] | None:
    """Return a partition into sets in each of which every term has degree two at most."""
    found_in: dict[int, list[int]] = {}
    for number, term in enumerate(finding.terms):
        for label, _ in term.items():
            found_in.setdefault(label, []).append(number)
    groups: dict[Any, list[int]] = {}
    for label, level in enumerate(finding.levels()):
        if level.kind != POLYNOMIAL or level.degree > 2:
            return None
        idle = label not in found_in
        groups.setdefault(
            "idle" if idle else (finding.labels[label].position, level.degree, tuple(found_in[label])), []
        ).append(label)
    members = list(groups.values())

    def fits(labels: list[int]) -> bool:
        terms = {number for label in labels for number in found_in.get(label, ())}
        return all((degree_within(finding.terms[number], labels) or 0) <= 2 for number in terms)

    members = [part for group in members for part in ([group] if fits(group) else [[label] for label in group])]

    def allowed(chosen: Any) -> bool:
        return fits([label for index in chosen for label in members[index]])

    found = partition(len(members), allowed)
    if found is None:
        return None
    return tuple(
        block(leaves, finding.labels, sorted(label for index in part for label in members[index])) for part in found
    )


def _obstructions(
    leaves: tuple[Leaf, ...], finding: Finding, levels: list[Level], joint: Level
) -> tuple[Obstruction, ...]:
    found = []
    for leaf, level in zip(leaves, levels, strict=True):
        if level.kind >= REPARAMETRISABLE:
            found.extend((leaf.path, number) for number in level.causes)
    if not found and joint.kind >= REPARAMETRISABLE:
        for term in finding.terms:
            if term.joint.kind == joint.kind:
                names = ", ".join(
                    leaves[finding.labels[label].position].path
                    for label, level in term.items()
                    if level.kind != POLYNOMIAL
                )
                found.extend((f"{names} together", number) for number in term.joint.causes)
    return tuple(
        Obstruction(name, cause.primitive, cause.file, cause.line, cause.reason)
        for name, cause in ((name, finding.causes[number]) for name, number in dict.fromkeys(found))
    )
