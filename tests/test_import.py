"""`import jaxcnn` is cheap, and parts come when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import jaxcnn


def imported(program: str) -> set[str]:
    """The modules that a program has imported at its end."""
    program += "; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_the_package_alone_imports_neither_jax_nor_flax() -> None:
    assert imported("import jaxcnn").isdisjoint({"jax", "flax", "numpy", "jaxcnn.nn"})


def test_a_model_imports_its_own_family_only() -> None:
    modules = imported("import jaxcnn; jaxcnn.models.create('resnet18')")
    families = {name.rpartition(".")[2] for name in modules if "jaxcnn.models." in name}
    assert "resnet" in families
    assert families.isdisjoint({"vgg", "densenet", "spectformer"})
    assert modules.isdisjoint({"torch", "matplotlib", "orbax", "optax", "tensorflow_datasets"})


@pytest.mark.parametrize("name", jaxcnn.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(jaxcnn, name) is not None
    assert name in dir(jaxcnn)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match=r"^module 'jaxcnn' has no attribute 'layers'$"):
        jaxcnn.layers  # noqa: B018
