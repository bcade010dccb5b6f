"""From any PyTorch module to a linen module."""

from jaxcnn.interop.convert.convert import from_torch
from jaxcnn.interop.convert.errors import ConversionError
from jaxcnn.interop.convert.lower import rule
from jaxcnn.interop.convert.module import Converted

__all__ = ["ConversionError", "Converted", "from_torch", "rule"]
