"""The `jaxcnn` command."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import jax
import tyro

import jaxcnn
from jaxcnn._checks import check


def main() -> None:
    """Runs the `jaxcnn` command line."""
    commands = {"models": list_models, "summary": summary, "data": prepare_data, "parity": parity}
    with one_line_errors():
        tyro.extras.subcommand_cli_from_dict(commands, prog="jaxcnn", description=__doc__)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Ends the program with one line and exit code 2 on a wrong value or file.

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
    except (ValueError, TypeError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def list_models() -> None:
    """List the models that can be built by name."""
    print("\n".join(jaxcnn.models.list_models()))


def summary(
    model: Annotated[str, tyro.conf.Positional],
    shape: tuple[int, int, int],
    num_classes: int = 10,
) -> None:
    """Print a model's tree as PyTorch shows it, and its number of parameters.

    Args:
      model: Name of the model.
      shape: Height, width and channels of the input.
      num_classes: Outputs of the last layer.
    """
    module = jaxcnn.models.create(model, num_classes=num_classes, in_channels=shape[-1])
    print(jaxcnn.torch_repr(module, (1, *shape)))
    sample = jax.ShapeDtypeStruct((1, *shape), "float32")
    variables = jax.eval_shape(module.init, jax.random.key(0), sample)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    print(f"{count:,} parameters")


def prepare_data(
    name: Annotated[str, tyro.conf.Positional],
    split: Literal["train", "test"] = "train",
    data_dir: str | None = None,
    raw_dir: str | None = None,
) -> None:
    """Download and prepare a data set, and say what is in it.

    Args:
      name: Name of the data set.
      split: Which part.
      data_dir: Where prepared sets lie; ~/.cache/jaxcnn by default.
      raw_dir: Folder with the original files, instead of a download.
    """
    dataset = jaxcnn.data.load(name, split, data_dir=data_dir, raw_dir=raw_dir)
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
    root = Path(jaxcnn.__file__).parents[1]
    found = (root / "tests" / "parity" / "opinfo").is_dir()
    check(found, "parity", "the table is in jaxcnn's source checkout", package=str(root))
    needs = ("torch", "expecttest", "hypothesis")
    missing = [name for name in needs if importlib.util.find_spec(name) is None]
    fix = 'pip install "jaxcnn[parity]"'
    check(not missing, "parity", f"PyTorch's tests need {needs}", fix, missing=missing)
    sys.path.insert(0, str(root))
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


if __name__ == "__main__":
    main()
