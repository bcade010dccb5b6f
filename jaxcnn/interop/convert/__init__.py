"""From any PyTorch module to a linen module."""

from jaxcnn.interop.convert.convert import from_torch
from jaxcnn.interop.convert.errors import ConversionError
from jaxcnn.interop.convert.lower import rule

__all__ = ["ConversionError", "from_torch", "rule"]
