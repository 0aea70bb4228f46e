"""A certificate in sentences that a person can act on."""

from typing import Any

_MOST = 6


def _listed(names: Any, most: int = _MOST) -> str:
    names = list(names)
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _opening(certificate: Any) -> str:
    leaves = "1 leaf" if len(certificate.leaves) == 1 else f"{len(certificate.leaves)} leaves"
    count = f"{certificate.size} parameters in {leaves}"
    family, degree = certificate.family, certificate.degree
    if family == "constant":
        return f"The output does not depend on the {count}."
    if family == "affine":
        return f"The output is affine in all {count} together."
    if family == "polynomial":
        return f"The output is a polynomial of degree {degree} in the {count}."
    if family == "exponential":
        return (
            f"The output is a sum of products of polynomials and exponentials (sines, cosines) in the {count}: closed."
        )
    if family == "rational":
        return f"The output is a quotient of polynomials and exponentials in the {count}: closed."
    return f"The output is open in the {count}: no closed form of a step in all of them is known."


def _solved(certificate: Any) -> list[str]:
    if certificate.family in ("constant", "affine"):
        return (
            []
            if certificate.family == "constant"
            else ["Solved exactly: everything, by one linear least-squares problem."]
        )
    sentences = []
    if certificate.blocks is not None:
        listed = "; ".join(_listed(block.names, 4) for block in certificate.blocks[:_MOST])
        more = f"; and {len(certificate.blocks) - _MOST} more" if len(certificate.blocks) > _MOST else ""
        sentences.append(
            f"Solved exactly: each of {len(certificate.blocks)} blocks with the others fixed ({listed}{more})."
        )
    elif certificate.quadratic_blocks is not None:
        count = len(certificate.quadratic_blocks)
        if count == 1:
            sentences.append("Solved exactly: everything, if the output is a loss: it is quadratic.")
        else:
            listed = "; ".join(_listed(block.names, 4) for block in certificate.quadratic_blocks[:_MOST])
            sentences.append(
                f"Solved exactly, if the output is a loss: each of {count} quadratic blocks with the others fixed "
                f"({listed})."
            )
    if certificate.affine_set.size:
        rest = certificate.size - certificate.affine_set.size
        names = _listed(certificate.affine_set.names)
        sentences.append(
            f"Eliminated exactly: {names} ({certificate.affine_set.size} parameters, jointly affine); "
            f"iterated on: the other {rest}."
        )
    elif certificate.quadratic_blocks is None:
        sentences.append("Nothing enters affinely: everything is iterated on.")
    return sentences


def describe(certificate: Any) -> str:
    """Return the text that `print(certificate)` shows."""
    lines = [_opening(certificate), *_solved(certificate)]
    if certificate.obstructions:
        lines.append("Open because of:")
        lines.extend(f"  - {obstruction}" for obstruction in certificate.obstructions)
    if certificate.assumptions:
        lines.append("Assumed:")
        lines.extend(f"  - {sentence}" for sentence in certificate.assumptions)
    return "\n".join(lines)
