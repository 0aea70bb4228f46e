r"""Whether a formula may be called a law of the data, or only an approximation of them.

chance       score(formula) < score(mean) - 20                        its description is shorter than that of no formula at all
smoothness   unseen rows are missed by no more than a smooth model misses them
lookalike    the residuals are not chance (`infinity.symbolic.residuals`)
"""

import numpy as np

from .candidates import Candidate, Data, score_of
from .expression import Expression
from .residuals import chance_of_residuals
from .surrogate import Surrogate

# A part of the deviation below which a miss is rounding, where values are not much larger than their deviation.
EXACT = 1e-12
# A formula that misses this part of the deviation says no more than the mean does.
NOTHING = 0.9
# One that misses more than this part is a trend: so much noise, or so much that was not measured, hides the law from the lookalikes.
TREND = 0.3
# How much shorter than without a formula the description of the data has to be.
MARGIN = 20.0
# Unseen rows are predicted as well as the free surrogate predicts them, within chance.
AS_GOOD = 1.1
LONGEST = 45
# The probability of such residuals of a law below which a formula is a lookalike.
LEVEL = 1e-4


def rounding(data: Data) -> float:
    """The part of the deviation that rounding may take away."""
    return max(EXACT, 1e-14 * float(np.max(np.abs(data.y))) / max(float(np.sqrt(data.variance)), 1e-300))


def verdict(best: Expression, candidate: Candidate, data: Data, surrogate: Surrogate | None) -> tuple[bool, str]:
    """Whether the recommended formula is a law, and a sentence that says why or why not.

    **Arguments:** the formula with its metrics, the same as a candidate, the data, and the smooth model to compare with; without one only
    an exact formula is a law.
    """
    unseen = best.metrics["heldout"]
    if unseen < rounding(data):
        return True, f"found: {best}, exact to rounding"
    if unseen > NOTHING:
        return False, "no formula was found that predicts unseen rows better than their mean"
    if candidate.score > score_of(1.0, len(data.y), np.ones(1), 1.0) - MARGIN:
        return False, f"no formula was found: {len(data.y)} rows do not tell {best} from chance"
    if best.complexity > LONGEST:
        return (
            False,
            f"no short form was found; the best formula has {best.complexity} parts and misses {unseen:.2g} of the deviation on unseen rows",
        )
    if surrogate is None:
        return (
            False,
            f"no law is certain: {len(data.y)} rows are too few for a smooth model to compare with; {best} misses {unseen:.2g} of the deviation on unseen rows",
        )
    smooth = float(np.sqrt(surrogate.heldout / max(data.variance, 1e-300)))
    if unseen > AS_GOOD * smooth:
        return (
            False,
            f"no short form was found: the best formula misses {unseen:.2g} of the deviation on unseen rows, a smooth model only {smooth:.2g}",
        )
    if chance_of_residuals(candidate, data) < LEVEL:
        return (
            False,
            f"no law was found: {best} misses only {unseen:.2g} of the deviation on unseen rows, but not by chance, so that it is a lookalike",
        )
    if unseen > TREND:
        return (
            False,
            f"no law is certain: {best} predicts as well as a smooth model of these inputs ({smooth:.2g} of the deviation missed), but {unseen:.2g} of the "
            "deviation is left to noise or to what was not measured, and other formulas do as well; take it for a trend",
        )
    return True, f"found: {best}; it misses {unseen:.2g} of the deviation on unseen rows, a smooth model {smooth:.2g}"
