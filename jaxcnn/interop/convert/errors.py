"""What a conversion raises."""

from __future__ import annotations


class ConversionError(ValueError):
    """A PyTorch module that `from_torch` cannot convert; the message says why and what to do."""


class NoRuleError(LookupError):
    """A call of PyTorch without a rule; the message says which form of it, if other forms have one.

    `from_torch` collects them into one ConversionError.
    """
