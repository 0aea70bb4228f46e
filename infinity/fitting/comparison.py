"""One table, every family of interpolants: error against unknowns and time."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..models import INN, KHRONOS, HiDeNN, Oblique
from ..models.hidenn import MOST_DIMENSIONS
from .checks import numeric_matrix
from .fit import fit
from .tensor import MOST_VALUES


class Compared(NamedTuple):
    """One fit: the family, cells in each dimension, unknowns, seconds, the error on held-out rows over their spread; a note where it failed."""

    family: str
    elements: int
    unknowns: int
    seconds: float
    nrmse: float
    note: str = ""


class Comparison(NamedTuple):
    """All fits of a comparison; printed as a table, the least error first. `inf.plot.comparison` shows it as a picture."""

    rows: list[Compared]

    def __str__(self) -> str:
        """The table."""
        head = f"{'family':<28}{'elements':>9}{'unknowns':>10}{'seconds':>9}{'error':>11}"
        lines = [head, "-" * len(head)]
        for row in sorted(self.rows, key=lambda row: (np.isnan(row.nrmse), row.nrmse)):
            numbers = f"{row.elements:>9}{row.unknowns:>10}{row.seconds:>9.1f}{row.nrmse:>11.2e}"
            lines.append(f"{row.family:<28}{numbers if not row.note else '  ' + row.note}")
        return "\n".join(lines)


FAMILIES = (
    "KHRONOS",
    "KHRONOS, trained nodes",
    "KHRONOS, two layers",
    "INN, hats",
    "INN, patches",
    "HiDeNN, hats",
    "HiDeNN, patches",
    "Oblique",
)


def compare(
    x: Any,
    y: Any,
    *,
    families: Sequence[str] | None = None,
    elements: Sequence[int] = (4, 8, 16),
    modes: int = 4,
    seed: int = 0,
) -> Comparison:
    """Fit the interpolating family to one table.

    **Arguments:**

    - `x`, `y`: inputs `(N, D)` or `(N,)` and targets `(N,)` or `(N, O)`, numbers.
    - `families`: names out of `"KHRONOS"`, `"KHRONOS, trained nodes"`, `"KHRONOS, two layers"`, `"INN, hats"`, `"INN, patches"`, `"HiDeNN, hats"`,
      `"HiDeNN, patches"`, `"Oblique"`; by default those without trained coordinates, and `HiDeNN` where its values are few.
    - `elements`: the sizes to try, in cells of each dimension; `modes`: of the separable ones.
    - `seed`: of the split, the same for all, and of the starts.

    **Returns:** a `Comparison`. What a family cannot take, such as a size with more unknowns than numbers, is a note in its row.

    **Raises:** `ValueError` for an unknown family or a bad table.

    !!! example

        >>> import jax, numpy as np, infinity as inf
        >>> jax.config.update("jax_enable_x64", True)
        >>> x = np.random.default_rng(0).uniform(size=(300, 1))
        >>> comparison = inf.compare(x, np.sin(5 * x[:, 0]), families=["INN, hats", "INN, patches"], elements=[8])
        >>> [row.family for row in sorted(comparison.rows, key=lambda row: row.nrmse)]
        ['INN, patches', 'INN, hats']
    """
    inputs, outputs = numeric_matrix(x, "x"), numeric_matrix(y, "y")
    D, O = inputs.shape[1], outputs.shape[1]
    if families is None:
        trained = ("KHRONOS, trained nodes", "KHRONOS, two layers", "Oblique")
        families = [name for name in FAMILIES if name not in trained]
    unknown = [name for name in families if name not in FAMILIES]
    if unknown:
        raise ValueError(f"families has {unknown[0]!r}; expected names out of {', '.join(map(repr, FAMILIES))}.")
    box = list(zip(inputs.min(axis=0).tolist(), inputs.max(axis=0).tolist(), strict=True))
    rows = []
    for name in families:
        for cells in elements:
            if name.startswith("HiDeNN") and (D > MOST_DIMENSIONS or (cells + 1) ** D > MOST_VALUES):
                continue
            began = time.perf_counter()
            try:
                model = _made(name, box, cells, modes, O, seed)
                result = fit(inputs, outputs, model=model, seed=seed)
            except ValueError as error:
                rows.append(Compared(name, cells, 0, np.nan, np.nan, str(error)))
                continue
            heldout = result.metrics["heldout"] or result.metrics["train"]
            rows.append(
                Compared(name, cells, result.model.inner.unknowns, time.perf_counter() - began, heldout["nrmse"])
            )
    return Comparison(rows)


def _made(name: str, box: list[tuple[float, float]], elements: int, modes: int, outputs: int, seed: int) -> Any:
    """A model of a family and size."""
    family, _, kind = name.partition(", ")
    basis = {"hats": "hat", "patches": "patch"}.get(kind, "hat")
    if family == "HiDeNN":
        return HiDeNN(domain=box, elements=elements, basis=basis, outputs=outputs)
    settings = {"modes": modes, "elements": elements, "outputs": outputs, "key": jax.random.key(seed)}
    if family == "INN":
        return INN(box, basis=basis, constant=True, **settings)
    if family == "Oblique":
        return Oblique(box, **settings)
    trained = {"trained nodes": {"trainable_nodes": True}, "two layers": {"layers": 2}}.get(kind, {})
    return KHRONOS(box, **settings, **trained)
