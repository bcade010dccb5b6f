"""compare: planted faults are found and named, equal models raise no alarm."""

from __future__ import annotations

from collections import Counter
from typing import Any

import flax.linen as linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import nn
from jaxcnn.interop.comparison import Report, compare
from tests.interop import compare_pairs, compare_twins
from tests.interop.compare_pairs import (
    FAULTS,
    IMAGES,
    STATISTICS_FAULTS,
    faulty,
    layers,
    with_layer,
)
from tests.interop.compare_twins import PAIRS


@pytest.fixture(scope="module")
def torch_net() -> Any:
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    return compare_pairs.torch_net()


def assert_found(report: Report, layer: str, cause: str) -> None:
    assert report.first is not None
    assert report.first.cause is not None, str(report)
    assert (report.first.name, report.first.cause.name) == (layer, cause)
    assert [row.name for row in report.layers if row.diverges] == [layer], str(report)


def rounds() -> list[list[str]]:
    """The faults in as few models as have a place for each."""
    places = Counter[int]()
    found: dict[int, list[str]] = {}
    for name, (place, _, _) in FAULTS.items():
        found.setdefault(places[place], []).append(name)
        places[place] += 1
    return list(found.values())


@pytest.mark.torch
@pytest.mark.parametrize("names", rounds(), ids=", ".join)
def test_planted_faults_are_named_in_their_layers(names: list[str], torch_net: Any) -> None:
    """Each layer is given the reference's input: so many faults do not hide each other."""
    variables = None if "two" not in names else without_bias(torch_net)
    with jax.default_matmul_precision("default"):
        report = compare(torch_net, faulty(names), variables, IMAGES)
    expected = {str(FAULTS[name][0]): FAULTS[name][2] for name in names}
    found = {row.name: row.cause and row.cause.name for row in report.layers if row.diverges}
    assert found == expected, str(report)
    assert report.first is not None
    assert report.first.name == "0"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "planted" in metafunc.fixturenames:
        names = list(FAULTS) if metafunc.config.getoption("full") else ["dilation", "TF32"]
        metafunc.parametrize("planted", names)


@pytest.mark.torch
def test_one_planted_fault(planted: str, torch_net: Any) -> None:
    place, _, cause = FAULTS[planted]
    variables = None if planted != "two" else without_bias(torch_net)
    with jax.default_matmul_precision("default"):
        report = compare(torch_net, faulty([planted]), variables, IMAGES)
    assert_found(report, str(place), cause)


@pytest.mark.torch
@pytest.mark.parametrize("cause", STATISTICS_FAULTS)
def test_faults_of_statistics(cause: str, torch_net: Any) -> None:
    model = with_layer(1, STATISTICS_FAULTS[cause]())
    assert_found(compare(torch_net, model, None, IMAGES, train=True), "1", cause)


def without_bias(torch_net: Any) -> Any:
    variables = variables_of(torch_net)
    params = variables["params"]
    return {**variables, "params": {**params, "11": {"weight": params["11"]["weight"]}}}


def variables_of(torch_net: Any) -> Any:
    model = nn.Sequential(*layers())
    like = jax.eval_shape(model.init, jax.random.key(0), IMAGES)
    return jaxcnn.to_variables(torch_net.state_dict(), like)


@pytest.mark.torch
def test_faults_of_parameters(torch_net: Any) -> None:
    """A kernel with height and width swapped, and a layer whose weights were not loaded."""
    model, variables = nn.Sequential(*layers()), variables_of(torch_net)
    params = variables["params"]
    turned = {**params["4"], "weight": jnp.swapaxes(params["4"]["weight"], 2, 3)}
    report = compare(torch_net, model, {**variables, "params": {**params, "4": turned}}, IMAGES)
    assert_found(report, "4", "layout")
    other = {**params["10"], "weight": params["10"]["weight"] + 1}
    report = compare(torch_net, model, {**variables, "params": {**params, "10": other}}, IMAGES)
    assert_found(report, "10", "parameters")


@pytest.mark.torch
def test_a_missing_bias(torch_net: Any) -> None:
    variables = variables_of(torch_net)
    params = {**variables["params"], "0": {"weight": variables["params"]["0"]["weight"]}}
    model = with_layer(0, nn.Conv2d(4, 8, 3, 2, 1, bias=False))
    report = compare(torch_net, model, {**variables, "params": params}, IMAGES)
    assert_found(report, "0", "bias")


@pytest.mark.torch
@pytest.mark.parametrize("name", PAIRS)
def test_no_false_alarm(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    build, shape = PAIRS[name]
    torch_model, model = build()
    torch_model = compare_pairs.randomized(torch_model)
    variables = compare_twins.flax_variables(torch_model) if name == "flax" else None
    report = compare(torch_model, model, variables, compare_twins.images(*shape))
    assert report.equal, str(report)
    assert report.settings["float64"]
    for row in report.layers:
        assert row.float64["output"].relative < 1e-12, row
    compared = {row.name for row in report.layers}
    parameterised = {n.rpartition(".")[0] for n, _ in torch_model.named_parameters()}
    assert parameterised - {"heads", "heads.out_proj"} <= compared


class FlaxFault(linen.Module):
    """Plain Flax between layers: what no hook sees."""

    activation: Any = jax.nn.relu
    flatten: str = "(c, h, w)"

    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = self.activation(linen.Conv(8, (3, 3), (2, 2), padding=1)(x))
        x = linen.max_pool(x, (2, 2), (2, 2))
        x = jnp.transpose(x, (0, 3, 1, 2)) if self.flatten == "(c, h, w)" else x
        return linen.Dense(16)(x.reshape(x.shape[0], -1))


@pytest.fixture(scope="module")
def functional_net() -> Any:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    layers = {"conv": torch.nn.Conv2d(4, 8, 3, 2, 1), "fc": torch.nn.Linear(32, 16)}

    def forward(m: Any, x: Any) -> Any:
        return m.fc(torch.nn.functional.max_pool2d(m.conv(x).relu(), 2).flatten(1))

    return compare_pairs.randomized(compare_twins.in_torch(forward, **layers))


def flax_variables(module: Any) -> Any:
    a = {name: np.asarray(value) for name, value in module.state_dict().items()}
    conv = {"kernel": a["conv.weight"].transpose(2, 3, 1, 0), "bias": a["conv.bias"]}
    return {
        "params": {"Conv_0": conv, "Dense_0": {"kernel": a["fc.weight"].T, "bias": a["fc.bias"]}}
    }


@pytest.mark.torch
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({}, None),
        ({"flatten": "(h, w, c)"}, "flatten order"),
        ({"activation": lambda x: x}, "activation"),
        ({"activation": jax.nn.gelu}, "activation"),
    ],
    ids=["none", "flatten", "left out", "gelu"],
)
def test_faults_between_layers(fault: Any, cause: str | None, functional_net: Any) -> None:
    report = compare(functional_net, FlaxFault(**fault), flax_variables(functional_net), IMAGES)
    if cause is None:
        assert report.equal, str(report)
        return
    assert_found(report, "fc", cause)
    assert report.first is not None
    assert (report.first.model_name, report.first.diverges) == ("Dense_0", ("input",))


@pytest.mark.torch
def test_training_gradients_and_steps() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")

    def net(n: Any, p: float) -> Any:
        return n.Sequential(n.Linear(4, 6), n.BatchNorm1d(6), n.ReLU(), n.Dropout(p))

    x = compare_twins.images(8, 4)
    options = {"train": True, "backward": True, "steps": 2}
    report = compare(compare_pairs.randomized(net(torch.nn, 0.5)), net(nn, 0.5), None, x, **options)
    assert report.equal, str(report)
    assert "Dropout: left out on both sides" in report.notes[0]
    rows = {row.name: row for row in report.layers}
    for name in ("0", "1"):
        errors = rows[name].float64
        for quantity in ("own_gradient", "gradient", "parameters"):
            assert errors[quantity].relative < 1e-12, (name, quantity)
    assert rows["1"].float64["statistics"].relative < 1e-12
    assert "statistics" not in rows["0"].float64


@pytest.mark.torch
def test_random_functions_are_noted() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")

    class Net(torch.nn.Sequential):
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.dropout(super().forward(x), 0.5, self.training)

    x, ours = compare_twins.images(8, 4), nn.Sequential(nn.Linear(4, 6))
    net = compare_pairs.randomized(Net(torch.nn.Linear(4, 6)))
    before = torch.get_rng_state()
    notes = [compare(net, ours, None, x, train=train).notes for train in (False, True)]
    assert notes[0] == ()
    assert "random numbers outside its layers" in notes[1][0]
    assert torch.equal(before, torch.get_rng_state())


class WrongGradient(nn.Linear):
    """Its output is right, its gradient is doubled."""

    def __call__(self, x: Any) -> jax.Array:
        y = super().__call__(x)
        return 2 * y - jax.lax.stop_gradient(y)


@pytest.mark.torch
def test_a_wrong_gradient() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = compare_pairs.randomized(
        torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 3))
    )
    ours = nn.Sequential(nn.Linear(4, 6), WrongGradient(6, 3))
    report = compare(theirs, ours, None, compare_twins.images(8, 4), backward=True)
    assert report.first is not None
    assert (report.first.name, report.first.diverges) == ("1", ("own_gradient",))
    # What the layer before it gets is doubled too, but not by itself.
    first = report.layers[0]
    assert first.diverges == ()
    assert first.float64["gradient"].relative == pytest.approx(1.0)


def test_jaxcnn_against_jaxcnn() -> None:
    def net(eps: float) -> Any:
        return nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6, eps=eps), nn.Tanh())

    weight = compare_twins.images(6, 4)
    params = {"0": {"weight": weight, "bias": weight[:, 0]}}
    params["1"] = {"weight": weight[:, 1], "bias": weight[:, 2]}
    variables, x = {"params": params}, compare_twins.images(8, 4)
    assert compare(net(1e-5), net(1e-5), variables, x).equal
    assert_found(compare((net(1e-5), variables), net(1e-3), variables, x), "1", "eps")
    report = compare(net(1e-5), net(1e-3), variables, x, backward=True)
    assert report.first is not None
    assert report.first.diverges == ("own_output", "own_gradient")


@pytest.mark.torch
def test_the_reference_is_not_changed(torch_net: Any) -> None:
    before = {name: value.clone() for name, value in torch_net.state_dict().items()}
    compare(torch_net, nn.Sequential(*layers()), None, IMAGES, train=True)
    for name, value in torch_net.state_dict().items():
        assert bool((value == before[name]).all()), name
    assert torch_net.training
