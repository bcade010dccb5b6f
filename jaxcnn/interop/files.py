"""Reading and writing state_dict files. Torch is never imported."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import safetensors
import safetensors.numpy

from jaxcnn._files import write_atomically

_FORMATS = (".npz", ".safetensors")


class CheckpointError(ValueError):
    """A file that cannot be read or written as a state_dict; the message names it and says why."""


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state_dict from a .npz or .safetensors file, told apart by content.

    Args:
      path: The file.

    Returns:
      Arrays by PyTorch name.

    Raises:
      FileNotFoundError: If there is no such file.
      CheckpointError: If the file is neither format, or damaged.

    Example:
      >>> import tempfile
      >>> path = tempfile.mkdtemp() + "/model.npz"
      >>> write_state_dict(path, {"fc.bias": np.zeros(2, np.float32)})
      >>> read_state_dict(path)
      {'fc.bias': array([0., 0.], dtype=float32)}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_state_dict: there must be a file, got path={str(path)!r}.")
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    try:
        return _read_npz(path) if is_zip else safetensors.numpy.load_file(path)
    except (
        safetensors.SafetensorError,
        zipfile.BadZipFile,
        ValueError,
        EOFError,
        OSError,
    ) as error:
        raise CheckpointError(
            f"read_state_dict: the file must be a whole .npz or .safetensors, got "
            f"path={str(path)!r}; {error}."
        ) from error


def write_state_dict(path: str | os.PathLike[str], state_dict: Mapping[str, np.ndarray]) -> None:
    """Writes a state_dict as .npz or .safetensors, by the ending of `path`.

    The file appears under its name only when it is complete.

    Args:
      path: The file; an existing one is replaced.
      state_dict: Arrays by PyTorch name, as from `to_state_dict`.

    Raises:
      CheckpointError: If the ending is another one, or the format cannot hold an array.

    Example:
      >>> import tempfile
      >>> write_state_dict(tempfile.mkdtemp() + "/model.safetensors", {"w": np.ones((2, 2))})
    """
    path = Path(path)
    arrays = {
        name: np.ascontiguousarray(value).reshape(np.shape(value))
        for name, value in state_dict.items()
    }
    if path.suffix == ".npz":
        for name, x in arrays.items():
            if x.dtype.kind in "OV":
                raise CheckpointError(
                    f"write_state_dict: .npz holds NumPy's own dtypes only, got {name!r} of "
                    f"dtype {x.dtype}; write .safetensors."
                )
            if name.endswith(".npy"):
                raise CheckpointError(
                    f"write_state_dict: a name in .npz must not end in .npy, got name={name!r}; "
                    "write .safetensors."
                )
        write_atomically(path, lambda file: _write_npz(file, arrays))
    elif path.suffix == ".safetensors":
        try:
            content = safetensors.numpy.save(arrays)
        except (safetensors.SafetensorError, KeyError, AttributeError) as error:
            dtypes = sorted({str(x.dtype) for x in arrays.values()})
            raise CheckpointError(
                f"write_state_dict: .safetensors cannot hold every array, got dtypes={dtypes}; "
                f"{error}."
            ) from error
        write_atomically(path, lambda file: file.write(content))
    else:
        raise CheckpointError(
            f"write_state_dict: the ending must be one of {_FORMATS}, got path={str(path)!r}."
        )


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    # Opened here: on a damaged file np.load leaves it open.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        wrong = [name for name in archive.files if not isinstance(archive[name], np.ndarray)]
        if wrong:
            raise ValueError(f"entries that are no arrays: {wrong}")
        return {name: archive[name] for name in archive.files}


def _write_npz(file: BinaryIO, arrays: Mapping[str, np.ndarray]) -> None:
    """Like np.savez, whose own arguments cannot be keys."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, value in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, value, allow_pickle=False)
