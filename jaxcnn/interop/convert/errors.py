"""What a conversion raises."""

from __future__ import annotations


class ConversionError(ValueError):
    """A PyTorch module that `from_torch` cannot convert; the message says why and what to do."""
