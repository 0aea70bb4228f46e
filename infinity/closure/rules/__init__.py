"""One rule for each primitive of JAX: how the parameters of its inputs enter its results."""

from ..interpreter import Interpreter
from . import control, elementwise, linear, moving
from .softmax import shift_invariant_quotient

Interpreter.rules = {**elementwise.RULES, **moving.RULES, **linear.RULES, **control.RULES}
Interpreter.calls = control.CALLS
Interpreter.patterns = {"div": shift_invariant_quotient}
