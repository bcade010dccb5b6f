"""Python files of converted modules: what they compute, load and look like."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn.interop import Converted
from jaxcnn.interop.source import to_source

torch = pytest.importorskip("torch")
from jaxcnn.interop.convert import own_rules  # noqa: E402
from tests.interop.source_nets import NETS, logcumsumexp  # noqa: E402

pytestmark = pytest.mark.torch

# Each program runs once.
_FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@functools.cache
def converted(name: str) -> tuple[Any, Converted, np.ndarray]:
    """The PyTorch module, the converted one, and an input of two images."""
    make, shape = NETS[name]
    torch.manual_seed(0)
    module = make()
    with torch.no_grad():
        for x in module.buffers():
            if x.is_floating_point() and x.ndim:
                x.uniform_(0.5, 1.5)
    ours, _ = jaxcnn.from_torch(module.eval(), torch.randn(shape))
    x = np.random.RandomState(0).standard_normal((2, *shape[2:], 3)).astype(np.float32)
    return module, ours, x


@functools.cache
def written(name: str) -> str:
    """The file of a net."""
    return to_source(converted(name)[1])


def run_text(text: str, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a file defines, without PyTorch."""
    for package in ("torch", "torchvision", "timm"):
        monkeypatch.setitem(sys.modules, package, None)
    written = types.ModuleType("written")
    monkeypatch.setitem(sys.modules, "written", written)
    exec(compile(text, "written.py", "exec"), written.__dict__)
    return getattr(written, name)


def compiled(function: Any, *args: Any) -> Any:
    return jax.jit(function).lower(*args).compile(compiler_options=_FAST)(*args)


def assert_same(ours: Any, theirs: Any) -> None:
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def both(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, Any, Any, np.ndarray]:
    """(the file's model, its variables, the converted one, its variables, an input)."""
    module, ours, x = converted(name)
    state_dict = {key: value.numpy() for key, value in module.state_dict().items()}
    model = run_text(written(name), ours.program.name, monkeypatch)()
    key = jax.random.key(0)
    skip = re.search(r'skip=r"(.*)"', written(name))
    variables = [
        jaxcnn.to_variables(state_dict, jax.eval_shape(m.init, key, x), skip=skip and skip[1])
        for m in (model, ours)
    ]
    return model, variables[0], ours, variables[1], x


@pytest.mark.parametrize("name", [name for name in NETS if name != "layer"])
def test_the_file_computes_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, variables, ours, their_variables, x = both(name, monkeypatch)
    y = compiled(model.apply, variables, x)
    assert_same(y, compiled(ours.apply, their_variables, x))


def test_a_single_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    x = converted("layer")[2]
    model = run_text(written("layer"), "Conv2d", monkeypatch)()
    assert jax.eval_shape(model.init_with_output, jax.random.key(0), x)[0].shape == (2, 4, 4, 4)


@pytest.mark.parametrize("name", ["residual", "transformer"])
def test_the_file_trains_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, variables, ours, their_variables, x = both(name, monkeypatch)

    def step(module: Any, variables: Any) -> Any:
        loss = lambda params: _loss(module, {**variables, "params": params}, x)
        gradient, new = jax.grad(loss, has_aux=True)(variables["params"])
        return {"params": gradient, "batch_stats": new["batch_stats"]}

    if name == "transformer":  # the two draw other numbers
        monkeypatch.setattr(jaxcnn.functional, "dropout", lambda x, *args, **kwargs: x)
    results = compiled(lambda v: step(model, v), variables)
    expected = compiled(lambda v: step(ours, v), their_variables)
    assert_same(jaxcnn.to_state_dict(results), jaxcnn.to_state_dict(expected))


def _loss(module: Any, variables: Any, x: Any) -> Any:
    rngs = {"dropout": jax.random.key(0)}
    y, new = module.apply(variables, x, train=True, mutable=["batch_stats"], rngs=rngs)
    return jnp.sum(jnp.sin(jnp.arange(y.size)) * y.ravel()), new


RESIDUAL = '''
class Block(linen.Module):
    """PyTorch's `Block`: layer1.0, layer1.1, layer1.2 and 2 more."""

    in_channels: int
    out_channels: int
    stride: int = 1
    downsample: linen.Module | None = None

    def setup(self) -> None:
        self.conv = nn.Conv2d(
            self.in_channels, self.out_channels, 3, stride=self.stride, padding=1, bias=False
        )
        self.bn = nn.BatchNorm2d(self.out_channels)
        self.relu = nn.ReLU()

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        identity = x if self.downsample is None else self.downsample(x)
        x = self.bn(self.conv(x), train)
        return self.relu(x + identity)


class Residual(linen.Module):
    """PyTorch's `Residual`, on channels-last input."""

    def setup(self) -> None:
        self.layer1 = nn.Sequential(*(Block(3, 3) for _ in range(3)))
        self.layer2 = nn.Sequential(
            Block(3, 6, stride=2, downsample=nn.Sequential(nn.Conv2d(3, 6, 1, stride=2))),
            Block(6, 6),
        )
        self.fc = nn.Linear(6, 5)

    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = self.layer1(x, train)
        x = self.layer2(x, train)
        return self.fc(layout.flatten(F.adaptive_avg_pool2d(x, 1), 1))
'''


def test_what_the_file_looks_like() -> None:
    text = written("residual")
    assert text.endswith(RESIDUAL), text
    assert text.startswith('"""Residual, converted from PyTorch.\n')
    imports = text.partition("from __future__ import annotations\n\n")[2].partition("\n\n\n")[0]
    assert imports.splitlines() == [
        "import jax",
        "from flax import linen",
        "from jaxcnn import functional as F",
        "from jaxcnn import layout, nn",
    ]


FORMS = {
    "a list in a loop": (
        "transformer",
        "for block in self.blocks:\n            x = block(",
    ),
    "equal modules": ("transformer", "nn.ModuleList(Layer() for _ in range(3))"),
    "a parameter": ("transformer", 'self.param("token", init.normal('),
    "one that is not read": ("transformer", 'self.param("head.spare.weight", init.normal('),
    "a buffer": ("transformer", 'self.variable("batch_stats", "index", jnp.asarray, INDEX)'),
    "dropout": ("transformer", 'train, rng=self.make_rng("dropout") if train else None)'),
    "the batch's size": ("transformer", "jnp.broadcast_to(self.token, (x.shape[0], 1, 8))"),
    "queries": ("transformer", "q = x[:, :, 0]"),
    "a skip connection": ("unet", "jnp.concatenate([skip, self.up(x)], axis=3)"),
    "a call with a skip connection": ("unet", "z = self.ups[0](z, y)"),
    "an output in parts": ("unet", 'return {"map": x, "sizes": ['),
    "a shared module": ("odd", "self.gate(x, self.init_)"),
    "a name of linen's": ("odd", 'self.init_ = nn.Linear(4, 4, name="init")'),
    "no Python name": ("odd", 'self.conv_1 = nn.Conv2d(3, 4, 1, name="conv-1")'),
    "a dictionary": ("odd", 'self.stems["a-b"](x, train)'),
    "a Sequential of its own class": ("odd", 'Stem(activation=nn.ReLU()), "c": Stem('),
    "precedence": ("odd", "self.init_(x) ** 2 + self.gate(x, self.init_) / -jnp.abs(x + 3)"),
    "a sum that some have": ("odd", "return x + y if self.residual else y"),
    "another layer's weight": ("odd", "self.twin.weight.transpose(1, 0)"),
    "a small constant": ("odd", 'jnp.array([[1.0, 0.5], [0.25, 0.0]], "float32")'),
    "a class of itself": ("nested", "self.tree = Tree(Tree(Tree2()))"),
    "another call of a module": ("nested", "self.head(x) + self.head.call2("),
    "a list that grows": ("nested", 'getattr(self, f"dense{i + 1}")(features, train))'),
    "settings that grow": ("nested", 'setattr(self, f"dense{i + 1}", Dense(3 + 2 * i))'),
    "a list as argument": ("nested", "jnp.concatenate(features, axis=3)"),
    "one of many parameters": ("nested", 'self.scales_1 = self.param("scales.1", init.ones(), (4'),
    "a shared weight": ("nested", r'like, skip=r"^again\.weight$")'),
    "brackets": ("nested", "x - (F.sigmoid(x) - x / (jnp.exp(x) * 3))"),
    "the size of what is at hand": ("nested", "jnp.ones((x.shape[0], 1, 1)"),
    "a model that is a Sequential": (
        "sequential",
        "super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU",
    ),
    "a model that is a layer": ("layer", "def Conv2d() -> linen.Module:"),
}


@pytest.mark.parametrize(("name", "form"), FORMS.values(), ids=FORMS)
def test_forms(name: str, form: str) -> None:
    assert form in written(name), written(name)


@pytest.mark.parametrize("name", NETS)
def test_lines_are_short(name: str) -> None:
    assert max(map(len, written(name).splitlines())) <= 100


def test_a_new_process_needs_no_torch(tmp_path: Path) -> None:
    module, _, _ = converted("residual")
    (tmp_path / "model.py").write_text(written("residual"))
    state_dict = {key: value.numpy() for key, value in module.state_dict().items()}
    jaxcnn.write_state_dict(tmp_path / "model.safetensors", state_dict)
    usage = re.findall(r"^    (.*)$", written("residual").partition("Example:")[0], re.MULTILINE)
    lines = [
        "import sys",
        "sys.modules.update(torch=None, torchvision=None)",
        "import doctest, jax, jax.numpy as jnp, jaxcnn, model as file",
        "assert doctest.testmod(file).attempted == 6 and not doctest.testmod(file).failed",
        "model, x = file.Residual(), jnp.ones((1, 8, 8, 3))",
        *usage,
        "print(float(jnp.sum(y)))",
    ]
    command = [sys.executable, "-c", "\n".join(lines)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    with torch.no_grad():
        expected = module(torch.ones(1, 3, 8, 8)).sum().item()
    assert float(run.stdout) == pytest.approx(expected, rel=1e-4, abs=1e-4)


class Own(torch.nn.Module):
    """Calls a function that has no rule."""

    def forward(self, x: Any) -> Any:
        return torch.logcumsumexp(x, 1)


def test_a_rule_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(own_rules.OWN_RULES, torch.logcumsumexp, logcumsumexp)
    ours, _ = jaxcnn.from_torch(Own(), torch.ones(1, 3))
    text = to_source(ours)
    assert f"from {logcumsumexp.__module__} import logcumsumexp\n" in text
    assert "return logcumsumexp(x, 1)" in text


@pytest.mark.parametrize("kind", ["lambda", "local"])
def test_a_rule_that_cannot_be_imported(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def local(x: Any, dim: int) -> Any:
        return x

    function = local if kind == "local" else lambda x, dim: x
    monkeypatch.setitem(own_rules.OWN_RULES, torch.logcumsumexp, function)
    ours, _ = jaxcnn.from_torch(Own(), torch.ones(1, 3))
    error = "to_source: a rule must be a function of a module that can be imported, got rule='.*'; "
    with pytest.raises(ValueError, match=error + "define it at the top of a module"):
        to_source(ours)


class Offset(torch.nn.Module):
    """Adds a constant, or a buffer."""

    def __init__(self, offset: Any, buffer: bool = False) -> None:
        super().__init__()
        self.register_buffer("offset", offset, persistent=buffer)

    def forward(self, x: Any) -> Any:
        return x + self.offset


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (torch.zeros(300), 'jnp.zeros(300, "float32")'),
        (torch.ones(1, 300), 'jnp.ones((1, 300), "float32")'),
        (torch.full((300,), 0.1), 'jnp.full(300, 0.1, "float32")'),
        (torch.arange(300), "jnp.asarray(np.arange(300))"),
        (torch.arange(5, 605, 2), "jnp.asarray(np.arange(5, 605, 2))"),
        (torch.tensor(-2.5), "x + -2.5"),
        (torch.tensor([True, False]), "jnp.array([True, False])"),
        (torch.arange(300.0) ** 2, 'CONSTANT = _unpacked(\n    "'),
    ],
    ids=["zeros", "ones", "full", "arange", "steps", "scalar", "flags", "packed"],
)
def test_constants(offset: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones((2, offset.shape[-1] if offset.ndim else 3), np.float32)
    ours, variables = jaxcnn.from_torch(Offset(offset), torch.from_numpy(x))
    text = to_source(ours)
    assert words in text, text
    model = run_text(text, "Offset", monkeypatch)()
    np.testing.assert_array_equal(model.apply({}, x), ours.apply(variables, x))


def test_a_constant_that_is_too_large() -> None:
    noise = torch.randn(40000, generator=torch.Generator().manual_seed(0))
    ours, _ = jaxcnn.from_torch(Offset(noise), torch.ones(1, 40000))
    error = r"to_source: a constant array must pack into 65536 bytes, got shape=\(40000,\), "
    with pytest.raises(ValueError, match=error):
        to_source(ours)
    # As a buffer its values come with the state_dict.
    ours, _ = jaxcnn.from_torch(Offset(noise, buffer=True), torch.ones(1, 40000))
    assert '"offset", jnp.asarray, np.zeros((40000,), "float32")' in to_source(ours)


def test_what_it_takes() -> None:
    with pytest.raises(TypeError, match="to_source: module must be what from_torch makes, got mod"):
        to_source(torch.nn.ReLU())  # type: ignore[arg-type]
