"""A certificate as JSON data, for `result.json`."""

from typing import Any


def summarise(certificate: Any) -> dict[str, Any] | None:
    """Collect what a certificate says.

    **Arguments:**

    - `certificate`: of the solve, or `None` where the solver needed none.

    **Returns:** family, degree, blocks, affine leaves, obstructions and assumptions.
    """
    if certificate is None:
        return None
    return {
        "family": certificate.family,
        "closed": certificate.closed,
        "degree": certificate.degree,
        "affine": [str(leaf) for leaf in certificate.affine],
        "blocks": None if certificate.blocks is None else [list(block.names) for block in certificate.blocks],
        "obstructions": [str(obstruction) for obstruction in certificate.obstructions],
        "assumptions": [str(assumption) for assumption in certificate.assumptions],
        "sentence": str(certificate),
    }
