"""Every code example of the seed pages, in jaxcnn, and what the pages claim.

The examples that compute something are in tests/seeds/: each is checked against the shapes that
the page prints, against PyTorch's stored values and, where PyTorch is installed, against PyTorch.
Here are the others, and the claims of the pages that are mistaken.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import functional as F
from jaxcnn import init, nn, parameters
from tests.parity.stored import thin
from tests.seeds import EXAMPLES
from tests.seeds.page_004_blocks import MLP
from tests.seeds.page_004_cnn import lenet

GOLDEN = Path(__file__).parent / "golden" / "seeds.npz"
KEY = jax.random.key(0)
CLOSE = {"rtol": 1e-6, "atol": 1e-6}  # running statistics are float32


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN, allow_pickle=False) as file:
        return dict(file)


@functools.cache
def values_of(id: str) -> dict[str, np.ndarray]:
    """jaxcnn's values; for tests with 64-bit types."""
    return EXAMPLES[id].run_jax()


@pytest.mark.parametrize("id", EXAMPLES)
def test_example(id: str, golden: dict[str, np.ndarray], x64: None) -> None:
    """The page's shapes and PyTorch's stored values."""
    example, values = EXAMPLES[id], values_of(id)
    assert {k: values[k].shape for k in example.sizes} == dict(example.sizes), example.shows
    stored = {k.partition("/")[2]: x for k, x in golden.items() if k.startswith(f"{id}/")}
    assert values.keys() == stored.keys()
    for name, expected in stored.items():
        np.testing.assert_allclose(thin(values[name]), expected, **CLOSE, err_msg=name)


@pytest.mark.torch
@pytest.mark.parametrize("id", EXAMPLES)
def test_example_equals_torch(id: str, x64: None) -> None:
    """All of PyTorch's values."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    values, expected = values_of(id), EXAMPLES[id].run_torch(torch)
    assert values.keys() == expected.keys()
    for name, x in expected.items():
        assert values[name].shape == x.shape
        np.testing.assert_allclose(values[name], x, **CLOSE, err_msg=name)


def call(layer: linen.Module, x: Any, **options: Any) -> Any:
    return layer.init_with_output({"params": KEY, "dropout": KEY}, x, **options)


class TestPage000:
    """The building blocks."""

    def test_dropout(self) -> None:
        """A half becomes 0; what stays is doubled, so that the mean stays."""
        y, _ = call(nn.Dropout(p=0.5, inplace=False), jnp.ones((100, 100)), train=True)
        assert set(np.unique(y)) == {0.0, 2.0}
        assert abs(float((y == 0).mean()) - 0.5) < 0.02

    def test_inplace_overwrites_nothing(self) -> None:
        """The page: inplace=True overwrites the input. Here it changes nothing."""
        x = jnp.array([-1.0, 1.0])
        assert call(nn.ReLU(inplace=True), x)[0].tolist() == [0.0, 1.0]
        assert x.tolist() == [-1.0, 1.0]

    def test_dilation_is_one_by_default(self) -> None:
        """The page: the default is 0. A dilation of 0 is an error."""
        assert nn.Conv2d(1, 1, 3).dilation in (1, (1, 1))
        assert nn.MaxPool2d(2).dilation in (1, (1, 1))
        with pytest.raises(ValueError, match="dilation must be at least 1, got dilation=0"):
            nn.Conv2d(1, 1, 3, dilation=0)

    def test_max_pool_does_not_pad_with_zeros(self) -> None:
        """The page: the border is filled with 0. It would win over negative numbers."""
        y = F.max_pool2d(jnp.full((1, 2, 2, 1), -5.0), 3, stride=1, padding=1)
        assert np.unique(y).tolist() == [-5.0]

    def test_depthwise_needs_as_many_inputs(self) -> None:
        """The page: groups=out_channels is depthwise. Only if in_channels are as many."""
        _, variables = call(nn.Conv2d(8, 4, 3, groups=4), jnp.ones((1, 5, 5, 8)))
        assert variables["params"]["weight"].shape == (4, 2, 3, 3)

    def test_slope_of_relu_is_zero_on_the_left(self) -> None:
        """The page: it is less than 0 there."""
        assert float(jax.grad(F.relu)(-1.0)) == 0.0
        assert float(jax.grad(F.relu)(0.0)) == 0.0


class TestPage002:
    """Layers as classes and functions."""

    def test_running_statistics_as_printed(self) -> None:
        """Of numbers from 0 to 1: 0.1 * 1/2, and 0.9 * 1 + 0.1 * 1/12."""
        x = jax.random.uniform(KEY, (100, 784, 16))
        layer = nn.BatchNorm1d(16)
        _, variables = call(layer, x, train=True)
        _, new = layer.apply(layer.init(KEY, x), x, train=True, mutable=["batch_stats"])
        stats = new["batch_stats"]
        np.testing.assert_allclose(stats["running_mean"], 0.05, atol=3e-4)
        np.testing.assert_allclose(stats["running_var"], 0.9083, atol=2e-4)
        assert variables["params"]["weight"].shape == (16,)

    def test_everything_in_the_layer(self) -> None:
        """What `vars(layer)` prints: fields, parameters and buffers."""
        layer = nn.BatchNorm2d(16)
        settings = (layer.num_features, layer.eps, layer.momentum, layer.affine)
        assert settings == (16, 1e-5, 0.1, True)
        assert layer.track_running_stats
        variables = layer.init(KEY, jnp.ones((1, 7, 7, 16)))
        assert jaxcnn.to_state_dict(variables).keys() == {
            "weight",
            "bias",
            "running_mean",
            "running_var",
            "num_batches_tracked",
        }

    def test_without_affine_there_are_no_parameters(self) -> None:
        _, variables = call(nn.BatchNorm2d(16, affine=False), jnp.ones((1, 7, 7, 16)))
        assert "params" not in variables

    def test_weight_and_bias_are_not_the_batch(self) -> None:
        """The page: they are those of the current batch. They are learned; a call changes none."""
        layer, x = nn.BatchNorm2d(3), jax.random.normal(KEY, (4, 5, 5, 3))
        before = layer.init(KEY, x)
        _, after = layer.apply(before, x, train=True, mutable=["batch_stats", "params"])
        np.testing.assert_array_equal(after["params"]["weight"], before["params"]["weight"])

    @pytest.mark.parametrize(
        ("layer", "axes", "count"),
        [
            (lambda: nn.BatchNorm1d(3), (0, 1), 3),
            (lambda: nn.LayerNorm((784, 3)), (1, 2), 6),
            (lambda: nn.InstanceNorm1d(3), (1,), 18),
        ],
        ids=["batch", "layer", "instance"],
    )
    def test_how_many_means(self, layer: Any, axes: tuple[int, ...], count: int) -> None:
        """Of six images with three channels: 3, 6 and 18 means, all 0 afterwards."""
        x = 2 + jax.random.normal(KEY, (6, 784, 3))
        norm = layer()
        options = {"train": True} if isinstance(norm, nn.BatchNorm1d) else {}
        y, _ = call(norm, x, **options)
        assert y.mean(axes).size == count
        np.testing.assert_allclose(y.mean(axes), 0, atol=1e-5)
        np.testing.assert_allclose(y.var(axes), 1, atol=1e-3)

    @pytest.mark.parametrize(("n", "k", "s", "p"), [(28, 3, 2, 1), (28, 5, 1, 1), (28, 5, 2, 2)])
    def test_the_size_depends_on_the_kernel(self, n: int, k: int, s: int, p: int) -> None:
        """The page leaves the kernel out of floor((n + 2p - k) / s) + 1."""
        y = F.conv2d(jnp.ones((1, n, n, 1)), jnp.ones((1, 1, k, k)), stride=s, padding=p)
        assert y.shape[1] == (n + 2 * p - k) // s + 1
        assert y.shape[1] != (n + 2 * p) // s + 1


class TestPage003:
    """The printed model, sizes, and modules as classes."""

    @pytest.mark.parametrize(
        ("layer", "input", "line"),
        [
            (
                lambda: nn.Conv2d(3, 32, 7, stride=2, padding=3, bias=False),
                (1, 8, 8, 3),
                "Conv2d(3, 32, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False)",
            ),
            (
                lambda: nn.Conv2d(64, 64, 3, padding=1, groups=64),
                (1, 8, 8, 64),
                "Conv2d(64, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=64)",
            ),
            (
                lambda: nn.BatchNorm2d(32),
                (1, 8, 8, 32),
                "BatchNorm2d(32, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)",
            ),
            (
                lambda: nn.LayerNorm((64,), eps=1e-6),
                (1, 4, 64),
                "LayerNorm((64,), eps=1e-06, elementwise_affine=True)",
            ),
            (
                lambda: nn.Linear(320, 640),
                (1, 320),
                "Linear(in_features=320, out_features=640, bias=True)",
            ),
            (lambda: nn.ReLU(inplace=True), (1, 2), "ReLU(inplace=True)"),
            (lambda: nn.GELU(), (1, 2), "GELU(approximate='none')"),
            (lambda: nn.Identity(), (1, 2), "Identity()"),
        ],
    )
    def test_printed_line(self, layer: Any, input: tuple[int, ...], line: str) -> None:
        """The kinds of line in the printed SpectFormer; newer PyTorch adds a bias to the norms."""
        printed = jaxcnn.torch_repr(layer(), input)
        assert (re.sub(r", bias=True\)$", ")", printed) if "Norm" in line else printed) == line

    def test_drop_path(self) -> None:
        """The printed DropPath: away with a whole branch, of each image by itself."""
        y, _ = call(nn.DropPath(0.5), jnp.ones((200, 3, 4)), train=True)
        assert set(np.unique(y)) == {0.0, 2.0}
        assert all(np.unique(row).size == 1 for row in np.asarray(y))

    def test_the_formula_subtracts_the_kernel(self) -> None:
        """The page subtracts the stride; its example has 3 for both."""
        size = lambda k, s: F.conv2d(
            jnp.ones((1, 5, 5, 1)), jnp.ones((1, 1, k, k)), stride=s, padding=2
        ).shape[1]
        assert size(3, 3) == (5 + 2 * 2 - 3) // 3 + 1 == 3
        assert size(2, 3) == (5 + 2 * 2 - 2) // 3 + 1 == 3
        assert size(3, 1) == (5 + 2 * 2 - 3) // 1 + 1 == 7
        assert size(3, 1) != (5 + 2 * 2 - 1) // 1 + 1

    def test_building_calls_nothing(self) -> None:
        """The page: building a module runs its forward. It runs when it is called."""
        calls = []

        class Noisy(linen.Module):
            def __call__(self, x: Any) -> Any:
                calls.append(x)
                return x

        module = Noisy()
        assert calls == []
        module.apply({}, 1.0)
        assert calls == [1.0]

    def test_attention(self) -> None:
        """d_model=512, h=8 on (50, 49, 512): the same shape, 262,656 parameters."""
        module = nn.SimplifiedScaledDotProductAttention(d_model=512, h=8)
        x = jax.ShapeDtypeStruct((50, 49, 512), jnp.float32)
        y, variables = jax.eval_shape(module.init_with_output, KEY, x, x, x)
        assert y.shape == (50, 49, 512)
        assert parameters.count_parameters(variables) == 262_656

    def test_weights_are_initialised_when_it_is_built(self) -> None:
        """The page: init_weights must be called. This module's constructor does so."""
        x = jnp.ones((1, 2, 64))
        params = nn.SimplifiedScaledDotProductAttention(64, 8).init(KEY, x, x, x)["params"]
        np.testing.assert_allclose(params["fc_o"]["weight"].std(), 1e-3, rtol=0.1)
        np.testing.assert_array_equal(params["fc_o"]["bias"], 0)

    def test_sk_attention(self) -> None:
        module = nn.SKAttention(channel=512, reduction=8)
        x = jax.ShapeDtypeStruct((50, 7, 7, 512), jnp.float32)
        y, variables = jax.eval_shape(module.init_with_output, KEY, x)
        assert y.shape == (50, 7, 7, 512)
        assert parameters.count_parameters(variables) == 22_192_192

    def test_printing_a_module(self) -> None:
        """The page: an address. PyTorch prints the tree, and so does `torch_repr`."""
        lines = jaxcnn.torch_repr(nn.SKAttention(8, (1, 3), L=4), (1, 4, 4, 8)).splitlines()
        assert lines[0] == "SKAttention("
        assert "  (fc): Linear(in_features=8, out_features=4, bias=True)" in lines

    def test_a_text_of_its_own(self) -> None:
        class SKAttention(nn.SKAttention):
            def __str__(self) -> str:
                return f"SKAttention module with channel={self.channel}, reduction={self.reduction}"

        text = str(SKAttention(channel=64, reduction=8))
        assert text == "SKAttention module with channel=64, reduction=8"


def perceptron() -> tuple[nn.Sequential, dict[str, Any]]:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    return net, net.init(KEY, jnp.ones((2, 4)))


class TestPage004:
    """Parameters, files and LeNet, after Dive into Deep Learning."""

    def test_one_layers_parameters(self) -> None:
        """`net[2].state_dict()` and `net[2].bias`."""
        net, variables = perceptron()
        assert isinstance(net[2], nn.Linear)
        own = jaxcnn.to_state_dict({"params": variables["params"]["2"]})
        assert {k: v.shape for k, v in own.items()} == {"weight": (1, 8), "bias": (1,)}
        bias = parameters.get_parameter(variables, "2.bias")
        np.testing.assert_array_equal(bias, own["bias"])

    def test_the_gradient_beside_a_value(self) -> None:
        """`net[2].weight.grad`: gradients are a tree of the same names."""
        net, variables = perceptron()
        gradients = jax.grad(lambda v: net.apply(v, jnp.ones((2, 4))).sum())(variables)
        assert parameters.get_parameter(gradients, "2.bias").tolist() == [2.0]

    def test_all_parameters(self) -> None:
        """`[(name, p.shape) for name, p in net.named_parameters()]`."""
        _, variables = perceptron()
        named = parameters.named_parameters(variables)
        assert [(name, p.shape) for name, p in named.items()] == [
            ("0.weight", (8, 4)),
            ("0.bias", (8,)),
            ("2.weight", (1, 8)),
            ("2.bias", (1,)),
        ]

    def test_parameters_of_nested_blocks(self) -> None:
        """A factory of blocks, and `rgnet[0][1][0].bias`."""
        block = lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4), nn.ReLU())
        blocks = nn.Sequential({f"block {i}": block() for i in range(4)})
        net = nn.Sequential(blocks, nn.Linear(4, 1))
        variables = net.init(KEY, jnp.ones((2, 4)))
        assert isinstance(net[0][1][0], nn.Linear)
        assert parameters.get_parameter(variables, "0.block 1.0.bias").shape == (8,)
        assert len(parameters.named_parameters(variables)) == 4 * 4 + 2

    def test_built_in_initialisers(self) -> None:
        """`net.apply(init_normal)`, then constants, for each layer of a type."""
        net, variables = perceptron()
        by = lambda weight: {nn.Linear: {"weight": weight, "bias": init.zeros()}}
        apply = lambda rules: parameters.named_parameters(
            parameters.reinitialize_layers(variables, KEY, rules, net, jnp.ones((2, 4)))
        )
        normal = apply(by(init.normal(std=0.01)))
        assert 0.003 < float(normal["0.weight"].std()) < 0.03
        assert not normal["0.bias"].any()
        assert np.unique(apply(by(init.constant(1)))["0.weight"]).tolist() == [1.0]

    def test_an_initialiser_for_each_block(self) -> None:
        """Xavier for the first layer, 42 for the last."""
        _, variables = perceptron()
        xavier = init.xavier_uniform()
        variables = parameters.reinitialize(variables, KEY, xavier, r"^0\.weight$")
        variables = parameters.reinitialize(variables, KEY, init.constant(42), r"^2\.weight$")
        bound = (6 / (4 + 8)) ** 0.5
        first = parameters.get_parameter(variables, "0.weight")
        assert 0.5 * bound < float(abs(first).max()) <= bound
        assert np.unique(parameters.get_parameter(variables, "2.weight")).tolist() == [42.0]

    def test_a_tied_layer_is_stored_once(self) -> None:
        """A change of one is a change of the other: there is only one."""
        shared = nn.Linear(8, 8)
        net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), shared, nn.ReLU(), shared)
        variables = net.init(KEY, jnp.ones((2, 4)))
        assert variables["params"].keys() == {"0", "2"}
        changed = parameters.with_parameter(variables, "2.bias", jnp.full(8, 100.0))
        assert not np.allclose(
            net.apply(changed, jnp.ones((2, 4))), net.apply(variables, jnp.ones((2, 4)))
        )

    @pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
    def test_tensors_in_files(self, suffix: str, tmp_path: Path) -> None:
        """A tensor, a list of tensors and a dictionary of tensors, written and read."""
        x, y = np.arange(4), np.zeros(4, np.float32)
        for i, tensors in enumerate(({"x": x}, {"0": x, "1": y}, {"x": x, "y": y})):
            path = tmp_path / f"{i}{suffix}"
            jaxcnn.write_state_dict(path, tensors)
            read = jaxcnn.read_state_dict(path)
            assert read.keys() == tensors.keys()
            for name, tensor in tensors.items():
                np.testing.assert_array_equal(read[name], tensor)

    def test_a_model_in_a_file(self, tmp_path: Path) -> None:
        """Parameters are saved, not the model; a copy of it computes the same with them."""
        x = jax.random.normal(KEY, (2, 20))
        variables = MLP().init(KEY, x)
        jaxcnn.write_state_dict(tmp_path / "mlp.npz", jaxcnn.to_state_dict(variables))
        clone = MLP()
        like = jax.eval_shape(clone.init, jax.random.key(1), x)
        read = jaxcnn.to_variables(jaxcnn.read_state_dict(tmp_path / "mlp.npz"), like)
        np.testing.assert_array_equal(clone.apply(read, x), MLP().apply(variables, x))

    def test_the_stride_of_a_pool_is_its_window(self) -> None:
        assert nn.MaxPool2d(3).apply({}, jnp.ones((1, 4, 4, 1))).shape == (1, 1, 1, 1)

    def test_lenet_layer_by_layer(self) -> None:
        """The shapes that the page's loop over the layers prints."""
        x = jnp.ones((1, 28, 28, 1))
        shapes = []
        for layer in lenet(nn):
            x, _ = call(layer, x)
            shapes.append(x.shape if x.ndim == 2 else (1, x.shape[-1], *x.shape[1:3]))
        assert shapes == [
            *[(1, 6, 28, 28)] * 2,
            (1, 6, 14, 14),
            *[(1, 16, 10, 10)] * 2,
            (1, 16, 5, 5),
            (1, 400),
            *[(1, 120)] * 2,
            *[(1, 84)] * 2,
            (1, 10),
        ]

    def test_lenet_starts_as_the_page_has_it(self) -> None:
        """Xavier for the weights of linear layers and convolutions, biases left alone."""
        net, x = lenet(nn), jnp.ones((1, 28, 28, 1))
        variables = net.init(KEY, x)
        rules = {layer: {"weight": init.xavier_uniform()} for layer in (nn.Linear, nn.Conv2d)}
        new = parameters.reinitialize_layers(variables, jax.random.key(1), rules, net, x)
        before, after = map(parameters.named_parameters, (variables, new))
        same = {name for name in before if np.array_equal(before[name], after[name])}
        assert same == {name for name in before if name.endswith("bias")}
        bound = (6 / (400 + 120)) ** 0.5
        assert 0.9 * bound < float(abs(after["7.weight"]).max()) <= bound
        assert parameters.count_parameters(new) == 61_706

    def test_accuracy(self) -> None:
        """`evaluate_accuracy`: the share of images whose largest output is the label's."""
        net, x = lenet(nn), jax.random.normal(KEY, (6, 28, 28, 1))
        variables = net.init(KEY, x)
        predictions = net.apply(variables, x).argmax(-1)
        labels = predictions.at[0].set((predictions[0] + 1) % 10)
        right = sum(
            int((net.apply(variables, x[i : i + 2]).argmax(-1) == labels[i : i + 2]).sum())
            for i in range(0, 6, 2)
        )
        assert right / 6 == pytest.approx(5 / 6)
