"""Arrays of NumPy, JAX and PyTorch as NumPy's, and their conversion to another dtype."""

from __future__ import annotations

import sys
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcnn._checks import check
from jaxcnn.interop.files.checkpoint import TORCH_DTYPES


def as_array(where: str, name: str, value: Any) -> np.ndarray:
    """`value` as an array of the same dtype; the memory may be shared.

    Raises:
      ValueError: If it is no array of numbers, or a sparse or quantised tensor.

    Example:
      >>> as_array("here", "fc.bias", jnp.ones(2, jnp.bfloat16))
      array([1, 1], dtype=bfloat16)
    """
    array = _from_tensor(where, name, value) if hasattr(value, "detach") else np.asarray(value)
    numbers = jnp.issubdtype(array.dtype, np.number) or array.dtype == bool
    rule = "values must be arrays of numbers"
    check(numbers, where, rule, name=name, dtype=str(array.dtype))
    return array


def cast(where: str, name: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`array` in another dtype, rounded where both are floating point.

    Raises:
      ValueError: If that drops imaginary parts or fractions, or is out of range.

    Example:
      >>> cast("here", "fc.bias", np.array([0.5]), np.dtype("int32"))
      Traceback (most recent call last):
      ValueError: here: values must fit the model's dtype, got name='fc.bias', dtype='float64', \
expected='int32'.
    """
    if array.dtype == dtype:
        return array
    got = {"name": name, "dtype": str(array.dtype), "expected": str(dtype)}
    real = [not jnp.issubdtype(t, np.complexfloating) for t in (array.dtype, dtype)]
    rule = "values must fit the model's dtype"
    check(real != [False, True], where, rule, **got)
    with np.errstate(all="ignore"):
        result = array.astype(dtype)
    check(_kept(array, result), where, rule, **got)
    return result


def _from_tensor(where: str, name: str, tensor: Any) -> np.ndarray:
    """By its bytes: PyTorch converts neither bfloat16 nor float8."""
    torch = sys.modules["torch"]  # imported by whoever made the tensor
    dtype = TORCH_DTYPES.get(str(tensor.dtype).removeprefix("torch."))
    dense = dtype is not None and tensor.layout == torch.strided and tensor.device.type != "meta"
    got = {"dtype": str(tensor.dtype), "layout": str(tensor.layout), "device": str(tensor.device)}
    check(dense, where, "tensors must be dense and not quantised", name=name, **got)
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    data = plain.reshape(-1).view(torch.uint8).numpy()
    return data.view(dtype).reshape(tuple(tensor.shape))


def _kept(array: np.ndarray, result: np.ndarray) -> bool:
    if jnp.issubdtype(result.dtype, np.integer) or result.dtype == bool:
        floating = jnp.issubdtype(array.dtype, np.floating)
        return np.array_equal(result, array.astype(np.float64) if floating else array)
    return bool(np.all(np.isfinite(result) | ~np.isfinite(array)))
