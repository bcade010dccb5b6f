"""The `jaxcnn` command."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro

import jaxcnn
from jaxcnn._checks import check
from jaxcnn._text import columns
from jaxcnn.interop import (
    Checkpoint,
    layer_table,
    matching_models,
    read_checkpoint,
    write_state_dict,
)
from jaxcnn.interop._suggest import as_code
from jaxcnn.interop._zoo import input_shape, model_sizes

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def main() -> None:
    """Runs the `jaxcnn` command line."""
    from jaxcnn.interop.comparison.command import compare_models
    from jaxcnn.interop.source.command import convert_model
    from jaxcnn.train.report.commands import inspect_run, report

    commands = {
        "models": list_models,
        "summary": summary,
        "inspect": inspect_checkpoint,
        "convert": convert,
        "convert-model": convert_model,
        "compare": compare_models,
        "data": prepare_data,
        "parity": parity,
        "bench": bench,
        "report": report,
        "inspect-run": inspect_run,
    }
    with one_line_errors():
        tyro.extras.subcommand_cli_from_dict(commands, prog="jaxcnn", description=__doc__)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line and exit code 2 on a wrong value or file, or a NaN loss.

    With the environment variable JAXCNN_TRACEBACK set, errors show where they come from.

    Example:
      >>> with one_line_errors():
      ...     pass
    """
    if os.environ.get("JAXCNN_TRACEBACK"):
        yield
        return
    try:
        yield
    except (ValueError, TypeError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def inspect_checkpoint(file: Annotated[Path, tyro.conf.Positional], key: str | None = None) -> None:
    """Print what a checkpoint file holds, and which models it fits.

    Args:
      file: A .pt, .pth, .safetensors or .npz; its content counts, not its ending.
      key: Where in the file the state_dict is, such as ema; by default it is searched.
    """
    checkpoint = read_checkpoint(file, key=key)
    _print_source(checkpoint)
    arrays = checkpoint.state_dict
    rows = [(_printable(name), x.shape, x.dtype) for name, x in arrays.items()]
    print(columns([("name", "shape", "dtype"), *rows]))
    buffers = {name for name in arrays if name.endswith(_BUFFERS)}
    count = sum(x.size for name, x in arrays.items() if name not in buffers)
    size = sum(x.nbytes for x in arrays.values())
    print(f"{len(arrays):,} arrays, {count:,} parameters, {size:,} bytes")
    matches = matching_models(arrays)
    for match in matches:
        classes = [f"num_classes={match.num_classes}"] if match.num_classes else []
        rename = [f"rename={as_code(match.rename)}"] if match.rename else []
        notes = "".join(f", {note}" for note in classes + rename)
        print(f"{match.name}: {match.score:.1%} of names and shapes{notes}")
    if not matches:
        print("no model of jaxcnn.models has such names and shapes")


def convert(
    source: Annotated[Path, tyro.conf.Positional],
    target: Annotated[Path, tyro.conf.Positional],
    key: str | None = None,
    force: bool = False,
) -> None:
    """Write the state_dict of a checkpoint file in another format.

    Args:
      source: A .pt, .pth, .safetensors or .npz; its content counts, not its ending.
      target: The new file; its ending decides: .pt, .pth, .safetensors or .npz.
      key: Where in the file the state_dict is, such as ema; by default it is searched.
      force: Replace the file if it exists.
    """
    rule, free = "the target must not exist", force or not target.exists()
    check(free, "convert", rule, "pass --force to replace it", target=str(target))
    checkpoint = read_checkpoint(source, key=key)
    write_state_dict(target, checkpoint.state_dict)
    _print_source(checkpoint)
    print(f"{target}: {len(checkpoint.state_dict):,} arrays, {target.stat().st_size:,} bytes")


def list_models() -> None:
    """List the models that can be built by name, with their numbers of parameters."""
    print(columns([(name, size[0]) for name, size in model_sizes().items()], right=[1]))


def summary(
    model: Annotated[str, tyro.conf.Positional],
    shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
) -> None:
    """Print a model's tree as PyTorch shows it, and its layers with their sizes.

    Multiply-adds are those of convolutions and linear layers, for one image.

    Args:
      model: Name of the model.
      shape: Height, width and channels of the input; by default what the model was made for.
      num_classes: Outputs of the last layer; by default the model's own.
    """
    shape = shape or input_shape(model)
    check(min(shape) > 0, "summary", "shape must be positive", shape=shape)
    classes: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    module = jaxcnn.models.create(model, in_channels=shape[-1], **classes)
    if hasattr(module, "img_size"):
        module = module.clone(img_size=shape[:2])
    print(jaxcnn.torch_repr(module, (1, *shape)))
    print(layer_table(module, jax.ShapeDtypeStruct((1, *shape), "float32")))


def _print_source(checkpoint: Checkpoint) -> None:
    place = f", under the key {_printable(checkpoint.key)}" if checkpoint.key else ""
    print(f"{checkpoint.path}: {checkpoint.format}{place}")
    for note in checkpoint.notes:
        print(f"note: {note}")


def _printable(name: str) -> str:
    """Names come from files: control characters would move the terminal's cursor."""
    return name if name.isprintable() else repr(name)


def prepare_data(
    name: Annotated[str, tyro.conf.Positional],
    split: Literal["train", "test", "validation"] = "train",
    data_dir: str | None = None,
    raw_dir: str | None = None,
    size: int | None = None,
    resize: int | None = None,
) -> None:
    """Download and prepare a data set, and say what is in it.

    Args:
      name: Name of the data set.
      split: Which part.
      data_dir: Where prepared sets lie; ~/.cache/jaxcnn by default.
      raw_dir: Folder with the original files, instead of a download.
      size: Height and width of images that differ in size.
      resize: Their shorter side before the centre is cropped; size by default.
    """
    where: dict[str, Any] = {"data_dir": data_dir, "raw_dir": raw_dir}
    dataset = jaxcnn.data.load(name, split, **where, size=size, resize=resize)
    print(dataset)
    print(", ".join(dataset.class_names))


def parity(
    only: tuple[str, ...] = (),
    samples: int | None = None,
    docs: Path = Path("docs"),
    processes: int | None = None,
) -> None:
    """Run PyTorch's operator tests and write parity.md and parity.json. Needs a checkout.

    Args:
      only: Functions, as the table names them, such as conv2d; all of them by default.
      samples: How many samples of each function; all of them by default.
      docs: Folder for the two files.
      processes: How many run side by side; one for each processor by default.
    """
    opinfo = _checkout("parity", "tests/parity/opinfo")
    needs = ("torch", "expecttest", "hypothesis")
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    fix = 'pip install "jaxcnn[parity]"'
    check(not missing, "parity", f"PyTorch's tests need {needs}", fix, missing=missing)
    sys.path.insert(0, str(opinfo.parents[2]))
    report = importlib.import_module("tests.parity.opinfo.report")
    names = list(report.ENTRIES)
    unknown = sorted(set(only) - set(names))
    check(not unknown, "parity", f"only must be among {', '.join(names)}", unknown=unknown)
    reports = report.measure(only or names, samples, processes)
    report.write(reports, docs)
    failures = report.failures(reports)
    print("\n".join(failures) or "every sample passes")
    print(docs / "parity.md")
    sys.exit(1 if failures else 0)


def bench(
    only: tuple[Literal["train", "layers", "input", "startup"], ...] = (),
    docs: Path = Path("docs"),
    rounds: int | None = None,
) -> None:
    """Run the benchmarks, and write performance.md and its figures. Needs a checkout and PyTorch.

    Args:
      only: Which benchmarks; all of them by default.
      docs: Folder for performance.md, and for the figures in performance/.
      rounds: Rounds of each contestant; each benchmark's own number by default.
    """
    folder = _checkout("bench", "experiments/bench")
    check(rounds is None or rounds > 0, "bench", "rounds must be positive", rounds=rounds)
    there = importlib.util.find_spec("torch") is not None
    check(there, "bench", "PyTorch must be installed", "pip install torch", torch=None)
    (docs / "performance").mkdir(parents=True, exist_ok=True)
    for name in only or ("train", "layers", "input", "startup"):
        command = [sys.executable, str(folder / f"{name}.py")]
        command += ["--out", str(docs / "performance" / f"{name}.json")]
        command += [] if rounds is None else ["--rounds", str(rounds)]
        subprocess.run(command, check=True)
    subprocess.run([sys.executable, str(folder / "report.py"), str(docs)], check=True)
    print(docs / "performance.md")


def _checkout(where: str, folder: str) -> Path:
    """A folder that is in the source checkout only."""
    root = Path(jaxcnn.__file__).parents[1]
    found = (root / folder).is_dir()
    check(found, where, "it is in jaxcnn's source checkout", package=str(root))
    return root / folder


if __name__ == "__main__":
    main()
