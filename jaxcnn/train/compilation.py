"""Compiled programs kept on disk, so that the next start of a program need not compile them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache


def default_compilation_cache() -> Path:
    """The folder of the environment variable JAX_COMPILATION_CACHE_DIR, or one in the user's cache.

    That one is `$XDG_CACHE_HOME/jaxcnn/xla`, or `~/.cache/jaxcnn/xla`.

    Example:
      >>> default_compilation_cache().is_absolute()
      True
    """
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if chosen:
        return Path(chosen).absolute()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache").absolute() / "jaxcnn" / "xla"


def enable_compilation_cache(path: str | os.PathLike[str] | None) -> None:
    """Keeps compiled programs in a folder, from now on in this process.

    A program is found again if nothing about it has changed: code, shapes, devices, jax's version.
    Whoever can write to the folder can run code in your programs. It grows; delete it at any time.

    Args:
      path: The folder, made if needed; None keeps nothing.

    Example:
      >>> import tempfile
      >>> before, folder = jax.config.jax_compilation_cache_dir, tempfile.mkdtemp()
      >>> enable_compilation_cache(folder)
      >>> _ = jax.jit(lambda x: x + 41)(1)
      >>> any("lambda" in file.name for file in Path(folder).iterdir())
      True
      >>> enable_compilation_cache(before)
    """
    if path is not None and not _writable(Path(path)):
        warnings.warn(f"Compiled programs are not kept: cannot write to {path}.", stacklevel=2)
        path = None
    jax.config.update("jax_compilation_cache_dir", None if path is None else os.fspath(path))
    # By default jax leaves out what compiled in less than a second, which adds up.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    # The folder in use is fixed by the first compilation.
    compilation_cache.reset_cache()


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
