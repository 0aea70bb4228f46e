"""The closure check: how the parameters of a function enter, read off its traced program."""

from .certificate import Certificate, Obstruction, certify
from .labels import Block, Part
from .verification import Verification

__all__ = ["Block", "Certificate", "Obstruction", "Part", "Verification", "certify"]
