"""What a checkpoint consists of, so that damage is found before it is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxcnn._files import write_atomically

MANIFEST = "manifest.json"
_CHUNK = 2**20  # bytes


def write_manifest(folder: Path, arrays: Mapping[str, Any]) -> None:
    """Writes `manifest.json`: size and sha256 of every file, shape and dtype of every array.

    Args:
      folder: A folder that is complete but for its manifest.
      arrays: The arrays in it, by name.
    """
    files = {
        str(file.relative_to(folder)): {"bytes": file.stat().st_size, "sha256": _sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    text = json.dumps({"files": files, "arrays": describe(arrays)}, indent=1) + "\n"
    write_atomically(folder / MANIFEST, lambda file: file.write(text.encode()))


def describe(arrays: Mapping[str, Any]) -> dict[str, str]:
    """Dtype and shape of each array, such as `float32[6,1,5,5]`."""
    return {name: f"{x.dtype}[{','.join(map(str, x.shape))}]" for name, x in arrays.items()}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads a manifest.

    Returns:
      `files` and `arrays`, as `write_manifest` wrote them.

    Raises:
      ValueError: If it is missing or broken.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        for about in manifest["files"].values():
            _ = about["bytes"], about["sha256"]
        manifest["arrays"].items()
    except FileNotFoundError as error:
        raise ValueError(f"{MANIFEST} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{MANIFEST} is broken") from error
    return manifest


def verify(folder: Path) -> None:
    """Compares all files with the manifest.

    Raises:
      ValueError: If anything differs; the message is the reason.
    """
    for name, about in read_manifest(folder)["files"].items():
        file, size, digest = folder / name, about["bytes"], about["sha256"]
        if not file.is_file():
            raise ValueError(f"{name} is missing")
        if file.stat().st_size != size:
            raise ValueError(f"{name} has {file.stat().st_size} bytes instead of {size}")
        if _sha256(file) != digest:
            raise ValueError(f"{name} has changed")


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
