"""to_state_dict and to_variables; layers against PyTorch: tests/parity/test_layers.py."""

from __future__ import annotations

import ast
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import models, nn
from jaxcnn.interop import LoadReport

X = jnp.ones((2, 4, 4, 3))


@pytest.fixture(scope="module")
def variables() -> Any:
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
    return jax.jit(model.init)(jax.random.key(0), X)


def test_names_shapes_and_types(variables: Any) -> None:
    arrays = jaxcnn.to_state_dict(variables)
    assert {name: (x.shape, str(x.dtype)) for name, x in arrays.items()} == {
        "0.weight": ((2, 3, 3, 3), "float32"),
        "0.bias": ((2,), "float32"),
        "1.weight": ((2,), "float32"),
        "1.bias": ((2,), "float32"),
        "1.running_mean": ((2,), "float32"),
        "1.running_var": ((2,), "float32"),
        "1.num_batches_tracked": ((), "int64"),
    }
    assert all(isinstance(x, np.ndarray) for x in arrays.values())


def test_round_trip_is_bit_exact(variables: Any) -> None:
    arrays = {name: x.copy() for name, x in jaxcnn.to_state_dict(variables).items()}
    arrays["0.weight"][0, 0, 0] = [np.nan, -0.0, 1e-45]
    back = jaxcnn.to_variables(arrays, variables)
    assert jax.tree.structure(back) == jax.tree.structure(variables)
    for name, x in jaxcnn.to_state_dict(back).items():
        assert x.tobytes() == arrays[name].tobytes(), name


def test_abstract_like(variables: Any) -> None:
    like = jax.eval_shape(lambda: variables)
    back = jaxcnn.to_variables(jaxcnn.to_state_dict(variables), like)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))


def test_casts_to_the_type_of_like(variables: Any) -> None:
    arrays = {k: x.astype(np.float64) for k, x in jaxcnn.to_state_dict(variables).items()}
    back = jaxcnn.to_variables(arrays, variables)
    assert jax.tree.map(lambda x: x.dtype, back) == jax.tree.map(lambda x: x.dtype, variables)


def test_one_error_lists_everything(variables: Any) -> None:
    arrays = jaxcnn.to_state_dict(variables)
    del arrays["0.bias"], arrays["1.running_var"]
    arrays |= {"fc.weight": np.ones(2), "fc.bias": np.ones(2)}
    arrays["0.weight"] = np.ones((3, 3, 3, 2))
    arrays["1.weight"] = np.ones(3)
    message = (
        "to_variables: the state_dict must fit the model, got\n"
        "  missing: 0.bias, 1.running_var\n"
        "  unexpected: fc.bias, fc.weight\n"
        "  wrong shape: 0.weight: expected (2, 3, 3, 3), got (3, 3, 3, 2), "
        "1.weight: expected (2,), got (3,)"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        jaxcnn.to_variables(arrays, variables)


def test_long_lists_are_cut() -> None:
    like = {"params": {f"w{i:02}": jnp.ones(i) for i in range(30)}}
    listed = ", ".join(f"w{i:02}" for i in range(10))
    with pytest.raises(ValueError, match=f"got\n  missing: {listed} and 20 more$"):
        jaxcnn.to_variables({}, like)


def test_not_strict(variables: Any) -> None:
    arrays = {"0.bias": np.array([7.0, 8.0]), "fc.weight": np.ones(2)}
    back, report = jaxcnn.to_variables(arrays, variables, strict=False)
    assert back["params"]["0"]["bias"].tolist() == [7, 8]
    assert jnp.array_equal(back["params"]["0"]["weight"], variables["params"]["0"]["weight"])
    norm = ("bias", "num_batches_tracked", "running_mean", "running_var", "weight")
    missing = ("0.weight", *(f"1.{name}" for name in norm))
    assert report == LoadReport(missing, ("fc.weight",))
    assert str(report) == f"  missing: {', '.join(missing)}\n  unexpected: fc.weight"


def test_not_strict_and_nothing_to_report(variables: Any) -> None:
    arrays = jaxcnn.to_state_dict(variables)
    back, report = jaxcnn.to_variables(arrays, variables, strict=False)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))
    assert report == LoadReport()
    assert str(report) == "  every name fits"


@pytest.mark.torch
def test_not_strict_reports_what_torch_reports(variables: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    theirs = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))
    arrays = {**theirs.state_dict(), "fc.weight": torch.ones(2)}
    del arrays["0.bias"], arrays["1.running_var"]
    reported = theirs.load_state_dict(arrays, strict=False)
    _, report = jaxcnn.to_variables(arrays, variables, strict=False)
    assert sorted(reported.missing_keys) == list(report.missing_keys)
    assert sorted(reported.unexpected_keys) == list(report.unexpected_keys)
    arrays["0.bias"] = torch.ones(3)
    with pytest.raises(RuntimeError, match="size mismatch"):
        theirs.load_state_dict(arrays, strict=False)


def test_not_strict_still_checks_shapes(variables: Any) -> None:
    message = r"wrong shape: 0\.bias: expected \(2,\), got \(3,\)$"
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables({"0.bias": np.ones(3)}, variables, strict=False)


def test_not_strict_needs_values_to_keep(variables: Any) -> None:
    like = jax.eval_shape(lambda: variables)
    message = (
        r"got\n  missing: 0\.weight, 1\.bias, .*\n"
        r"  like must hold values to keep, not shapes: pass model\.init\(\.\.\.\)$"
    )
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables({"0.bias": np.ones(2)}, like, strict=False)


COUNTER = "1.num_batches_tracked"


@pytest.mark.parametrize("abstract", [True, False])
def test_without_counters(abstract: bool, variables: Any, caplog: pytest.LogCaptureFixture) -> None:
    """PyTorch before 0.4.1 wrote none."""
    like = jax.tree.map(lambda x: x + 5, variables)
    like = jax.eval_shape(lambda: like) if abstract else like
    arrays = jaxcnn.to_state_dict(variables)
    del arrays[COUNTER]
    note = f"1 names num_batches_tracked are not in the state_dict: {NOTES[abstract]}"
    with caplog.at_level("INFO", "jaxcnn"):
        back = jaxcnn.to_variables(arrays, like)
    assert caplog.messages == [f"to_variables: {note}"]
    assert back["batch_stats"]["1"]["num_batches_tracked"] == (0 if abstract else 5)
    again, report = jaxcnn.to_variables(arrays, like, strict=False)
    assert report == LoadReport(notes=(note,))
    assert jax.tree.all(jax.tree.map(np.array_equal, again, back))


NOTES = {True: "they start at 0", False: "like's values stay"}


def test_a_counter_of_a_missing_norm_is_missing(variables: Any) -> None:
    arrays = {k: v for k, v in jaxcnn.to_state_dict(variables).items() if k.startswith("0.")}
    with pytest.raises(ValueError, match=r"missing: 1\.bias, 1\.num_batches_tracked, "):
        jaxcnn.to_variables(arrays, variables)


def other_head(variables: Any) -> Any:
    arrays = jaxcnn.to_state_dict(variables)
    return {**arrays, "0.weight": np.ones((5, 3, 3, 3)), "0.bias": np.ones(5)}


def test_skip(variables: Any) -> None:
    arrays = {**other_head(variables), "1.weight": np.array([3.0, 4.0]), "0.scale": np.ones(1)}
    back, report = jaxcnn.to_variables(arrays, variables, strict=False, skip=r"^0\.")
    assert jax.tree.all(jax.tree.map(np.array_equal, back["params"]["0"], variables["params"]["0"]))
    assert back["params"]["1"]["weight"].tolist() == [3, 4]
    shapes = (("0.bias", (2,), (5,)), ("0.weight", (2, 3, 3, 3), (5, 3, 3, 3)))
    skipped = ("0.bias", "0.scale", "0.weight")
    assert report == LoadReport(mismatched=shapes, skipped_keys=skipped)
    strict = jaxcnn.to_variables(arrays, variables, skip=r"^0\.")
    assert jax.tree.all(jax.tree.map(np.array_equal, strict, back))


def test_skip_keeps_what_would_fit(variables: Any) -> None:
    arrays = {name: x + 1 for name, x in jaxcnn.to_state_dict(variables).items()}
    back = jaxcnn.to_variables(arrays, variables, skip="bias")
    assert jnp.array_equal(back["params"]["1"]["bias"], variables["params"]["1"]["bias"])
    assert back["params"]["1"]["weight"].tolist() == [2, 2]


def test_skip_needs_values_to_keep(variables: Any) -> None:
    message = (
        r"^to_variables: like must hold values where they are kept, not shapes, "
        r"got name='1\.running_mean'; pass model\.init\(\.\.\.\) as like\.$"
    )
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables({}, jax.eval_shape(lambda: variables), skip="")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"skip": "("}, r"skip must be a regular expression, got skip='\('; missing \), .*"),
        (
            {"rename": {"0": r"\2"}},
            r"rename must be a regular expression, got rename={.*}; invalid group reference 2 .*",
        ),
    ],
    ids=["skip", "rename"],
)
def test_no_regular_expression(arguments: Any, message: str, variables: Any) -> None:
    with pytest.raises(ValueError, match=f"^to_variables: {message}\\.$"):
        jaxcnn.to_variables(jaxcnn.to_state_dict(variables), variables, **arguments)


def suggested(error: Exception) -> dict[str, Any]:
    """The arguments that the message says to try."""
    found = re.findall(r"try (rename|skip)=(r\".*?\"|{.*?}): ", str(error))
    return {name: ast.literal_eval(value) for name, value in found}


GREEK = {"weight": "gamma", "bias": "beta"}
RENAMES = {
    "prefix": lambda name: f"backbone.{name}",
    "two-prefixes": lambda name: f"module.model.{name}",
    "norm": lambda name: name.replace("bn", "norm"),
    "stages": lambda name: re.sub(r"^layer(\d)", r"stages.\1", name),
    "gamma": lambda name: re.sub(r"(bn\d)\.(weight|bias)", lambda m: f"{m[1]}.{GREEK[m[2]]}", name),
}


@pytest.fixture(scope="module")
def resnet() -> Any:
    """A small one, with zeros, since only names and shapes count."""
    model = models.resnet18(num_classes=7)
    like = jax.eval_shape(model.init, jax.random.key(0), jnp.ones((1, 32, 32, 3)))
    return jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)


@pytest.mark.parametrize("classes", [7, 5])
@pytest.mark.parametrize("change", RENAMES.values(), ids=RENAMES)
def test_the_error_says_what_to_try(change: Any, classes: int, resnet: Any) -> None:
    arrays = jaxcnn.to_state_dict(resnet)
    arrays |= {"fc.weight": np.zeros((classes, 512)), "fc.bias": np.zeros(classes)}
    arrays["layer1.0.bn2.bias"] = np.arange(64)  # not the norm's weight
    theirs = {change(name): arrays[name] for name in reversed(arrays)}
    with pytest.raises(ValueError, match=r"try rename={.*}: 10[02] of 102 names fit") as error:
        jaxcnn.to_variables(theirs, resnet)
    arguments = suggested(error.value)
    assert arguments.keys() == ({"rename"} if classes == 7 else {"rename", "skip"})
    back = jaxcnn.to_state_dict(jaxcnn.to_variables(theirs, resnet, **arguments))
    assert back["layer1.0.bn2.bias"].tolist() == arrays["layer1.0.bn2.bias"].tolist()


def test_a_moved_head(resnet: Any) -> None:
    arrays = jaxcnn.to_state_dict(resnet)
    theirs = {name.replace("fc.", "head.fc."): x for name, x in arrays.items()}
    with pytest.raises(ValueError, match=r'try rename={r"\^head\\."') as error:
        jaxcnn.to_variables(theirs, resnet)
    jaxcnn.to_variables(theirs, resnet, **suggested(error.value))


def test_a_prefix_to_add(resnet: Any) -> None:
    like = {kind: {"body": tree} for kind, tree in resnet.items()}
    theirs = jaxcnn.to_state_dict(resnet)
    with pytest.raises(ValueError, match=r'try rename={r"\^": r"body\."}: 102 of 102') as error:
        jaxcnn.to_variables(theirs, like)
    jaxcnn.to_variables(theirs, like, **suggested(error.value))


def test_suggestions_add_to_what_was_given(resnet: Any) -> None:
    arrays = {
        **jaxcnn.to_state_dict(resnet),
        "fc.bias": np.zeros(9),
        "fc.weight": np.ones((9, 512)),
    }
    theirs = {f"a.b.{name}": x for name, x in arrays.items()}
    with pytest.raises(ValueError, match="names fit") as error:
        jaxcnn.to_variables(theirs, resnet, rename={r"^a\.": ""}, skip=r"conv1")
    arguments = suggested(error.value)
    assert arguments == {"rename": {r"^a\.": "", r"^b\.": ""}, "skip": r"conv1|^fc\."}
    jaxcnn.to_variables(theirs, resnet, **arguments)


@pytest.mark.parametrize(
    "shapes",
    [
        {"0.weight": (5, 3, 3, 3), "1.weight": (3,)},
        {"0.weight": (5, 4, 3, 3), "0.bias": (5,)},
        {"0.bias": (5,)},
    ],
    ids=["norm-too", "inputs-too", "bias-only"],
)
def test_no_skip_is_suggested_for_another_model(shapes: Any, variables: Any) -> None:
    arrays = {**jaxcnn.to_state_dict(variables), **{k: np.ones(s) for k, s in shapes.items()}}
    with pytest.raises(ValueError, match="wrong shape") as error:
        jaxcnn.to_variables(arrays, variables)
    assert "try" not in str(error.value)


def test_rename(variables: Any) -> None:
    arrays = jaxcnn.to_state_dict(variables)
    theirs = {
        f"module.{name.replace('0.', 'conv.').replace('1.', 'bn.')}": x
        for name, x in arrays.items()
    }
    rename = {r"^module\.": "", r"^conv\.": "0.", r"^bn\.": "1."}
    back = jaxcnn.to_variables(theirs, variables, rename=rename)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))


def test_rename_collision(variables: Any) -> None:
    arrays = {"a.weight": np.ones(1), "b.weight": np.ones(1)}
    message = (
        r"^to_variables: rename must not give two keys the same name, "
        r"got name='weight', key='b\.weight'\.$"
    )
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables(arrays, variables, rename={r"^[ab]\.": ""})


@pytest.mark.parametrize(
    "tree",
    [
        {"params": {"a": {"b": jnp.ones(1)}, "a.b": jnp.ones(1)}},
        {"params": {"a": {"b": jnp.ones(1)}}, "batch_stats": {"a": {"b": jnp.ones(1)}}},
    ],
    ids=["dot", "collection"],
)
def test_names_must_be_unique(tree: Any) -> None:
    message = r"^to_state_dict: every leaf must have a dotted name of its own, got name='a\.b'\.$"
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_state_dict(tree)


def test_bfloat16_is_kept() -> None:
    tree = {"params": {"w": jnp.array([1.5, -2.0], jnp.bfloat16)}}
    arrays = jaxcnn.to_state_dict(tree)
    assert arrays["w"].dtype == jnp.bfloat16
    assert jaxcnn.to_variables(arrays, tree)["params"]["w"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([0.5, 1.0], jnp.int32),
        ([np.nan, 1.0], jnp.int32),
        ([2.0**31, 0], jnp.int32),
        ([2, 0], bool),
        (np.array([2**40, 0]), jnp.int32),
        ([1e30, 0], jnp.float16),
        ([1 + 0j, 0], jnp.float32),
    ],
    ids=["fraction", "nan", "large", "bool", "int64", "float16", "complex"],
)
def test_values_must_fit_the_dtype(value: Any, dtype: Any) -> None:
    like = {"params": {"w": jnp.zeros(2, dtype)}}
    message = (
        r"^to_variables: values must fit the model's dtype, got name='w', "
        rf"dtype='{np.asarray(value).dtype}', expected='{np.dtype(dtype)}'\.$"
    )
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables({"w": value}, like)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([3.0, -1.0], jnp.int32, [3, -1]),
        ([1, 0], bool, [True, False]),
        ([1 / 3, np.inf], jnp.bfloat16, [0.333984375, np.inf]),
        (np.array([1, 2], ">i8"), jnp.float32, [1, 2]),
        (np.array([1.5, 2], ">f4"), jnp.float32, [1.5, 2]),
        ([0.5, 1], jnp.complex64, [0.5, 1]),
        (jnp.array([0.5, 2], jnp.bfloat16), jnp.float32, [0.5, 2]),
    ],
    ids=["int", "bool", "bfloat16", "big-endian", "same-big-endian", "complex", "from-bfloat16"],
)
def test_values_are_cast(value: Any, dtype: Any, expected: Any) -> None:
    back = jaxcnn.to_variables({"w": value}, {"params": {"w": jnp.zeros(2, dtype)}})["params"]["w"]
    assert back.dtype == dtype
    assert back.tolist() == expected


@pytest.mark.parametrize("value", ["ab", None], ids=["text", "none"])
def test_no_numbers(value: Any) -> None:
    message = r"^to_variables: values must be arrays of numbers, got name='w', dtype='.*'\.$"
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables({"w": value}, {"params": {"w": jnp.zeros(())}})


@pytest.mark.torch
def test_takes_tensors(variables: Any) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    arrays = jaxcnn.to_state_dict(variables)
    tensors = {k: torch.tensor(x) for k, x in arrays.items()}
    back = jaxcnn.to_variables(tensors, variables)
    assert jax.tree.all(jax.tree.map(np.array_equal, back, variables))


TENSORS: dict[str, tuple[Any, Any]] = {
    "float32": (lambda t: t.tensor([1.5, -0.0]), [1.5, 0]),
    "bfloat16": (lambda t: t.tensor([1.5, -2], dtype=t.bfloat16), [1.5, -2]),
    "float8": (lambda t: t.tensor([1.5, -2]).to(t.float8_e4m3fn), [1.5, -2]),
    "parameter": (lambda t: t.nn.Parameter(t.tensor([1.5, -2])), [1.5, -2]),
    "strided": (lambda t: t.arange(4.0)[::2], [0, 2]),
    "negative": (lambda t: t._neg_view(t.tensor([1.5, -2])), [-1.5, 2]),
    "int64": (lambda t: t.tensor([3, 4]), [3, 4]),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", TENSORS)
def test_every_kind_of_tensor(name: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    make, expected = TENSORS[name]
    back = jaxcnn.to_variables({"w": make(torch)}, {"params": {"w": jnp.zeros(2)}})
    assert back["params"]["w"].tolist() == expected


@pytest.mark.torch
def test_conjugated_tensors() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    like = {"params": {"w": jnp.zeros(2, jnp.complex64)}}
    back = jaxcnn.to_variables({"w": torch.tensor([1 + 2j, -3j]).conj()}, like)
    assert back["params"]["w"].tolist() == [1 - 2j, 3j]


@pytest.mark.torch
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 1)], ids=str)
def test_bfloat16_tensors_keep_every_bit(shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    bits = torch.full(shape, 0x7F81, dtype=torch.int16)  # a NaN of which a cast would lose bits
    like = {"params": {"w": jnp.zeros(shape, jnp.bfloat16)}}
    back = np.asarray(jaxcnn.to_variables({"w": bits.view(torch.bfloat16)}, like)["params"]["w"])
    assert back.shape == shape
    assert (back.view(np.int16) == 0x7F81).all()


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:.*quantized tensor creation:UserWarning")
@pytest.mark.parametrize("kind", ["sparse", "quantized", "meta"])
def test_tensors_without_plain_values(kind: str) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    makes = {
        "sparse": lambda: torch.sparse_coo_tensor([[0]], [1.0], (2,), check_invariants=True),
        "quantized": lambda: torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8),
        "meta": lambda: torch.ones(2, device="meta"),
    }
    message = r"^to_variables: tensors must be dense and not quantised, got name='w', dtype='torch"
    with pytest.raises(ValueError, match=message):
        jaxcnn.to_variables({"w": makes[kind]()}, {"params": {"w": jnp.zeros(2)}})
