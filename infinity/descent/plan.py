"""From a certificate to a way of solving: the strongest exact method that the structure allows."""

from dataclasses import dataclass

import numpy as np

from ..closure import Certificate


@dataclass(frozen=True, eq=False)
class Plan:
    """What one outer step will do.

    **Fields:** `strategy` is `"constant"`, `"affine"`, `"multilinear"`, `"partial"`, `"open"` for residuals and `"constant"`, `"quadratic"`,
    `"block quadratic"`, `"open"` for a loss; `linear` and `rest` are the positions of the parameters eliminated exactly and of those iterated on;
    `blocks` the positions of each block of the sweeps; `sentence` says it in words; `degree` is the total degree of a polynomial, None for anything else.
    """

    strategy: str
    linear: np.ndarray
    rest: np.ndarray
    blocks: tuple[np.ndarray, ...]
    sentence: str
    degree: int | None = None


def plan_residuals(certificate: Certificate) -> Plan:
    """The plan for a vector of residuals."""
    everything = np.arange(certificate.size)
    linear = np.asarray(certificate.affine_set.indices, dtype=int)
    rest = np.setdiff1d(everything, linear)
    names = ", ".join(certificate.affine_set.names)
    if certificate.family == "constant":
        return Plan("constant", everything[:0], everything, (), "The residuals do not depend on the parameters.")
    if not rest.size:
        return Plan("affine", linear, rest, (), "The residuals are affine: one orthogonal factorisation solves them.")
    if certificate.blocks is not None:
        blocks = tuple(np.asarray(block.indices, dtype=int) for block in certificate.blocks)
        sentence = (
            f"The residuals are affine in each of {len(blocks)} blocks: exact block solves, "
            f"then {names} eliminated and the rest by trust region."
        )
        return Plan("multilinear", linear, rest, blocks, sentence, certificate.degree)
    if linear.size:
        sentence = (
            f"{names} ({linear.size} of {certificate.size} parameters) eliminated exactly, the rest by trust region."
        )
        return Plan("partial", linear, rest, (), sentence, certificate.degree)
    sentence = "No parameter enters affinely: the trust region works alone."
    return Plan("open", linear, rest, (), sentence, certificate.degree)


def plan_loss(certificate: Certificate) -> Plan:
    """The plan for a scalar loss."""
    everything = np.arange(certificate.size)
    none = everything[:0]
    if certificate.family == "constant":
        return Plan("constant", none, everything, (), "The loss does not depend on the parameters.")
    blocks = certificate.quadratic_blocks
    if blocks is None:
        sentence = "The loss is not quadratic in any partition: trust-region Newton works alone."
        return Plan("open", none, everything, (), sentence, certificate.degree)
    positions = tuple(np.asarray(block.indices, dtype=int) for block in blocks)
    if len(positions) == 1:
        return Plan("quadratic", none, everything, positions, "The loss is quadratic: one Newton step solves it.")
    sentence = f"The loss is quadratic in each of {len(positions)} blocks: exact block steps, then joint Newton steps."
    return Plan("block quadratic", none, everything, positions, sentence, certificate.degree)
