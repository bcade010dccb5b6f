from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxcnn
from jaxcnn import optim, train
from jaxcnn.interop import program

torch = pytest.importorskip("torch")
from tests.interop.converting import (  # noqa: E402
    Calls,
    assert_equal,
    compare,
    image,
    last,
    random_state,
    refused,
)

nn, TF = torch.nn, torch.nn.functional
pytestmark = pytest.mark.torch


def shuffled(self: Any, x: Any) -> Any:
    n, c, h, w = x.shape
    return self.conv(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))


def attended(self: Any, x: Any) -> Any:
    n, c, h, w = x.shape
    tokens = self.norm(x.flatten(2).transpose(1, 2))
    q, k, v = self.qkv(tokens).reshape(n, h * w, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
    weights = (q @ k.transpose(-2, -1) * c**-0.5).softmax(dim=-1)
    y = self.proj((weights @ v).transpose(1, 2).reshape(n, h * w, c))
    return x + y.transpose(1, 2).reshape(n, c, h, w)


def both_ways(self: Any, x: Any) -> Any:
    """One array, read in two orders."""
    x = self.conv(x)
    return (x @ self.rows.T).mean(2) + (x.transpose(2, 3) @ self.columns.T).mean(2)


def windows(self: Any, x: Any) -> Any:
    n, c, h, w = x.shape
    x = x.permute(0, 2, 3, 1).view(n, h // 4, 4, w // 3, 3, c).permute(0, 1, 3, 2, 4, 5)
    x = self.linear(x.reshape(-1, 12, c)) + self.bias
    x = x.view(n, h // 4, w // 3, 4, 3, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
    return torch.roll(x, (1, 2), dims=(1, 2)).permute(0, 3, 1, 2)


def residual(self: Any, x: Any) -> Any:
    y = self.bn(self.conv(x))
    y += x
    y.relu_()
    return y * y.mean((2, 3), keepdim=True).sigmoid() + y.amax(1, keepdim=True)


def parts(self: Any, x: Any) -> Any:
    a, b, c = x.split([1, 2, 3], dim=1)
    d, e = torch.chunk(c, 2, dim=-1)
    c = torch.cat([e, d], dim=3)
    x = torch.cat([b, a, TF.pad(c, (1, 0, 0, 2))[:, :, 2:, 1:]], 1)
    return self.conv(TF.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))


def standardised(self: Any, x: Any) -> Any:
    weight = self.conv.weight
    mean, var = weight.mean((1, 2, 3), keepdim=True), weight.var((1, 2, 3), keepdim=True)
    return TF.conv2d(x, (weight - mean) * torch.rsqrt(var + 1e-5), self.conv.bias, padding=1)


def spreads(self: Any, x: Any) -> Any:
    var, mean = torch.var_mean(x, (2, 3), True, True)
    return self.conv((x - mean) / (var + 1).sqrt()) * x.std(1, keepdim=True, correction=0) + x.var()


def scaled(self: Any, x: Any) -> Any:
    x = self.norm(x.permute(0, 2, 3, 1))
    x = self.down(TF.gelu(self.up(x))) * self.gamma
    x = x.permute(0, 3, 1, 2)
    return x * self.per_channel + self.per_channel[:, 0].mean()


def extremes(self: Any, x: Any) -> Any:
    """Gradients where entries are equal, at a bound, or all zero."""
    x = self.conv(x)
    y = x.relu()
    smallest, _ = x.topk(2, dim=2, largest=False)
    zero = (y - y.data) * 2
    found = y.max(1, keepdim=True)[0] + y.min(-1, keepdim=True).values + zero.clamp(0, 0.5)
    return found + smallest.sum(2, keepdim=True) + zero.norm(dim=1, keepdim=True) + zero.std()


def gathered(self: Any, x: Any) -> Any:
    index = self.index.expand(x.shape[0], -1, -1, -1)
    return self.conv(x).gather(-2, index)


def constants(self: Any, x: Any) -> Any:
    ramp = torch.linspace(0, 1, x.shape[-1]) + torch.arange(x.shape[-1])
    mask = torch.ones(x.shape[0], 1, 1, x.shape[3]).masked_fill(ramp > 2, 0.5)
    return self.conv(x * mask + ramp * self.table[self.index].sum())


def written(self: Any, x: Any) -> Any:
    out = torch.zeros_like(x)
    out[:, 1:] = x[:, :-1]
    out[:, 0] = x[:, -1]
    return self.conv(out)


def with_table() -> Any:
    module = Calls(constants, conv=nn.Conv2d(6, 4, 1))
    module.table = nn.Parameter(torch.zeros(5))
    module.register_buffer("index", torch.tensor([0, 3, 3]))
    return module


def with_index() -> Any:
    module = Calls(gathered, conv=CONV())
    module.register_buffer("index", torch.arange(2 * 9 * 3).reshape(1, 2, 9, 3) % 4)
    return module


def with_scales() -> Any:
    up, down = nn.Linear(6, 12), nn.Linear(12, 6)
    module = Calls(scaled, norm=nn.LayerNorm(6), up=up, down=down)
    module.gamma = nn.Parameter(torch.ones(6))
    module.per_channel = nn.Parameter(torch.ones(6, 1, 1))
    return module


def with_rows() -> Any:
    module = Calls(both_ways, conv=CONV())
    module.rows = nn.Parameter(torch.ones(5, 6))
    module.columns = nn.Parameter(torch.ones(5, 8))
    return module


def with_bias() -> Any:
    module = Calls(windows, linear=nn.Linear(6, 6))
    module.bias = nn.Parameter(torch.zeros(12, 1))
    return module


CONV = lambda: nn.Conv2d(6, 6, 3, padding=1)
NETS = {
    "plain": lambda: nn.Sequential(
        *(nn.Conv2d(6, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 5)),
    ),
    "residual": lambda: Calls(residual, conv=nn.Conv2d(6, 6, 1, bias=False), bn=nn.BatchNorm2d(6)),
    "shuffle": lambda: Calls(shuffled, conv=CONV()),
    "attention": lambda: Calls(
        attended, norm=nn.LayerNorm(6), qkv=nn.Linear(6, 18), proj=nn.Linear(6, 6)
    ),
    "windows": with_bias,
    "both ways": with_rows,
    "parts": lambda: Calls(parts, conv=CONV()),
    "weight standardisation": lambda: Calls(standardised, conv=CONV()),
    "spreads": lambda: Calls(spreads, conv=CONV()),
    "extremes": lambda: Calls(extremes, conv=CONV()),
    "channels-last block": with_scales,
    "constants": with_table,
    "gather": with_index,
    "written": lambda: Calls(written, conv=CONV()),
    "layers of images": lambda: nn.Sequential(
        *(nn.GroupNorm(2, 6), nn.PReLU(6), nn.ConvTranspose2d(6, 4, 2, stride=2)),
        *(nn.InstanceNorm2d(4, affine=True), nn.PixelShuffle(2), nn.Upsample(scale_factor=2)),
        *(nn.AvgPool2d(3, 2, ceil_mode=True), nn.AdaptiveAvgPool2d((3, 2)), nn.Softmax(dim=1)),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_equals_torch(name: str) -> None:
    model = compare(NETS[name](), image(c=6))
    if name in ("plain", "residual", "parts", "channels-last block"):
        assert model.program.layout_changes <= 1


def test_sequences_and_tokens() -> None:
    sequence = torch.randn(2, 6, 9, generator=torch.Generator().manual_seed(0))
    net = random_state(nn.Sequential(nn.Conv1d(6, 4, 3), nn.BatchNorm1d(4), nn.ReLU()))
    model, variables = jaxcnn.from_torch(net, sequence)
    with torch.no_grad():
        theirs = net(sequence).numpy()
    ours = model.apply(variables, np.moveaxis(sequence.numpy(), 1, -1))
    assert_equal(ours, np.moveaxis(theirs, 1, -1))
    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
    net = random_state(Calls(lambda self, x: self.layer(x), layer=layer))
    model, variables = jaxcnn.from_torch(net, sequence.transpose(1, 2))
    with torch.no_grad():
        theirs = net(sequence.transpose(1, 2)).numpy()
    assert_equal(model.apply(variables, sequence.transpose(1, 2).numpy()), theirs)


def test_shared_layers_stay_shared() -> None:
    one, two = nn.Linear(4, 4), nn.Linear(4, 4)
    two.weight = one.weight
    module = Calls(lambda self, x: self.two(self.one(self.one(x)).relu()), one=one, two=two)
    model = compare(module, torch.randn(2, 4, generator=torch.Generator().manual_seed(0)))
    assert model.tied == {"two.weight": "one.weight"}


def test_weights_that_are_computed_or_tied() -> None:
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(6, 4, 1))
    compare(Calls(lambda self, x: self.layer(x), layer=layer), image(c=6))
    words = nn.Embedding(5, 3)
    module = random_state(Calls(lambda self, x: self.words(x) @ self.words.weight.T, words=words))
    tokens = torch.tensor([[0, 4, 2], [1, 1, 3]])
    model, variables = jaxcnn.from_torch(module, tokens)
    with torch.no_grad():
        theirs = module(tokens).numpy()
    assert_equal(model.apply(variables, tokens.numpy()), theirs)
    assert jaxcnn.to_state_dict(variables).keys() == module.state_dict().keys()


def test_several_inputs_and_outputs() -> None:
    def both(self: Any, x: Any, y: Any) -> Any:
        return {"sum": self.conv(x) + y, "parts": (x.mean(), [y])}

    module = random_state(Calls(both, conv=CONV()))
    x, y = image(c=6), image(3, c=6)[:2]
    model, variables = jaxcnn.from_torch(module, x, y)
    ours = model.apply(variables, last(x.numpy()), last(y.numpy()))
    with torch.no_grad():
        theirs = module(x, y)
    assert_equal(ours["sum"], last(theirs["sum"].numpy()))
    assert_equal(ours["parts"][0], theirs["parts"][0].numpy())
    assert_equal(ours["parts"][1][0], last(y.numpy()))


def test_random_layers_draw_while_training() -> None:
    def dropped(self: Any, x: Any) -> Any:
        return self.dropout(x) + TF.dropout(x, 0.5, self.training)

    module = Calls(dropped, dropout=nn.Dropout(0.5))
    model, variables = jaxcnn.from_torch(module, torch.ones(1, 100))
    x = jnp.ones((1, 100))
    assert model.apply(variables, x).tolist() == (2 * x).tolist()
    y = model.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)})
    assert sorted(set(y.ravel().tolist())) == [0.0, 2.0, 4.0]


@pytest.mark.parametrize("name", ["dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"])
def test_functions_that_drop_channels(name: str) -> None:
    sizes = {"dropout1d": (5,), "dropout2d": (5, 4), "dropout3d": (5, 4, 3)}.get(name, (5, 4))
    x = torch.ones(2, 50, *sizes)
    module = Calls(lambda self, x: getattr(TF, name)(x, 0.5, self.training))
    model, variables = jaxcnn.from_torch(module, x)
    x = np.ones((2, *sizes, 50), np.float32)
    assert np.array_equal(model.apply(variables, x), x)
    y = model.apply(variables, x, train=True, rngs={"dropout": jax.random.key(0)})
    channels = np.asarray(y).reshape(2, -1, 50)
    assert np.array_equal(channels, np.broadcast_to(channels[:, :1], channels.shape))
    expected = getattr(TF, name)(torch.ones(1, 1000, *sizes), 0.5, True).unique().numpy()
    np.testing.assert_allclose(np.unique(channels), expected, rtol=1e-6)


def test_alpha_dropout_is_off_unless_asked_for() -> None:
    x = torch.zeros(1, 100)
    drop = lambda self, x: TF.alpha_dropout(x) + TF.alpha_dropout(x, 0.3, self.training)
    model, variables = jaxcnn.from_torch(Calls(drop), x)
    assert not model.apply(variables, np.zeros((1, 100))).any()
    y = model.apply(variables, np.zeros((1, 100)), train=True, rngs={"dropout": jax.random.key(0)})
    expected = TF.alpha_dropout(torch.zeros(1000), 0.3, True).unique().numpy()
    np.testing.assert_allclose(np.unique(y), expected, rtol=1e-6)


def test_new_variables_have_the_same_names_and_moments() -> None:
    module = random_state(with_scales())
    model, variables = jaxcnn.from_torch(module, image(c=6))
    new = model.init(jax.random.key(0), last(image(c=6).numpy()))
    assert jax.tree.structure(new) == jax.tree.structure(variables)
    shapes = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    assert shapes(new) == shapes(variables)
    ours, theirs = new["params"]["gamma"], variables["params"]["gamma"]
    assert abs(float(jnp.std(ours)) - float(jnp.std(theirs))) < 0.3


def test_trains_in_a_train_step() -> None:
    net = NETS["plain"]()
    model, variables = jaxcnn.from_torch(net, image(c=6))
    x = last(image(8, c=6).numpy())
    state = train.create_state(
        model, optim.sgd(0.05, momentum=0.9), jax.random.key(0), x, variables=variables
    )
    step = train.parallelize(train.make_train_step(), devices=jax.local_devices()[:1])
    batch = {"image": x, "label": np.arange(8) % 5}
    losses = []
    for _ in range(10):
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))
    assert losses[-1] < 0.5 * losses[0]
    assert int(state.batch_stats["1"]["num_batches_tracked"]) == 10


def test_runs_where_torch_is_missing(tmp_path: Path) -> None:
    module = random_state(with_table())
    model, variables = jaxcnn.from_torch(module, image(c=6))
    x = last(image(c=6).numpy())
    saved = (model, jax.tree.map(np.asarray, variables), x, np.asarray(model.apply(variables, x)))
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(saved))
    code = (
        "import pickle, sys, numpy; sys.modules['torch'] = None\n"
        f"model, variables, x, y = pickle.load(open({str(tmp_path / 'model.pickle')!r}, 'rb'))\n"
        "numpy.testing.assert_allclose(model.apply(variables, x), y, rtol=1e-5)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_module_is_left_as_it_is() -> None:
    module = NETS["plain"]().train()
    module[1].eval()
    before = {name: x.clone() for name, x in module.state_dict().items()}
    torch.manual_seed(3)
    random = torch.rand(1)
    torch.manual_seed(3)
    jaxcnn.from_torch(module, image(c=6))
    assert torch.rand(1) == random
    assert [m.training for m in module] == [True, False, True, True, True, True]
    assert all(torch.equal(x, before[name]) for name, x in module.state_dict().items())


def test_own_rules() -> None:
    class Twice(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cummax(x, 1).values

    with pytest.raises(jaxcnn.interop.ConversionError, match=r"cummax: test_convert\.py"):
        jaxcnn.from_torch(Twice(), image())
    rule = jaxcnn.interop.rule(torch.cummax)
    rule(lambda x, dim: (jax.lax.cummax(x, dim), jnp.zeros(x.shape, int)))
    try:
        model, variables = jaxcnn.from_torch(Twice(), image())
    finally:
        from jaxcnn.interop.convert import own_rules

        del own_rules.OWN_RULES[torch.cummax]
    theirs = torch.cummax(image(), 1).values.numpy()
    assert_equal(model.apply(variables, last(image().numpy())), last(theirs))


def test_values_must_not_decide() -> None:
    text = refused(lambda self, x: x if x.sum() > 0 else -x)
    assert "must not depend on the values of tensors, got __bool__ at test_convert.py" in text
    assert "got item at" in refused(lambda self, x: x * x.max().item())
    assert "got nonzero at" in refused(lambda self, x: x.nonzero())


def test_batch_size_must_not_decide() -> None:
    text = refused(lambda self, x: x.relu() if len(x) > 2 else x.abs())
    assert "must not depend on the batch size, got another call at test_convert.py" in text
    assert "for batches of 2, 3 and 5" in refused(lambda self, x: torch.roll(x, len(x) ** 2, 0))
    assert "got 1, 2 and 3 for batches of 2, 3 and 5" in refused(lambda self, x: x[::2])


def test_training_must_be_what_evaluation_is() -> None:
    def other(self: Any, x: Any) -> Any:
        return (x.relu(), x) if self.training else x.relu()

    def longer(self: Any, x: Any) -> Any:
        return x.relu().abs() if self.training else x.relu()

    for function in (other, longer):
        assert "pass mode='eval' or mode='train'" in refused(function)
        module = Calls(function)
        model, variables = jaxcnn.from_torch(module, image(), mode="eval")
        with torch.no_grad():
            theirs = module.eval()(image()).numpy()
        assert_equal(model.apply(variables, last(image().numpy())), last(theirs))


def test_aliases_must_not_change() -> None:
    def changed(self: Any, x: Any) -> Any:
        y = x * 2
        z = y.flatten(1)
        z.add_(1)
        return y + 1

    assert "its memory was changed through another one" in refused(changed)

    def through_a_part(self: Any, x: Any) -> Any:
        y = x * 2
        y[:, :2].add_(1)
        y[:, 2:, 0].zero_()
        return self.conv(y)

    compare(Calls(through_a_part, conv=CONV()), image(c=6))

    def counted(self: Any, x: Any) -> Any:
        self.count.add_(1)
        return x * self.count

    module = Calls(counted)
    module.register_buffer("count", torch.zeros(()))
    with pytest.raises(jaxcnn.interop.ConversionError, match="write into its own state"):
        jaxcnn.from_torch(module, image())


def test_all_unknown_calls_are_listed() -> None:
    text = refused(lambda self, x: torch.cummax(torch.logcumsumexp(x, 1), 2).values)
    assert "got 2 without one" in text
    assert "logcumsumexp: test_convert.py:" in text
    assert "cummax: test_convert.py:" in text


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"must run on the example, got shapes=\[\(2, 3, 8, 6\)\]"):
        jaxcnn.from_torch(nn.Sequential(CONV()), image())
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module, got module='int'"):
        jaxcnn.from_torch(3, image())
    with pytest.raises(TypeError, match="must be tensors of PyTorch, got input='ndarray'"):
        jaxcnn.from_torch(CONV(), np.zeros(3))
    with pytest.raises(ValueError, match="there must be an example input"):
        jaxcnn.from_torch(CONV())
    with pytest.raises(ValueError, match="mode must be None, 'eval' or 'train', got mode='both'"):
        jaxcnn.from_torch(CONV(), image(c=6), mode="both")
    model, variables = jaxcnn.from_torch(NETS["plain"](), image(c=6))
    with pytest.raises(ValueError, match=r"but for the batch, got shape=\(2, 9, 6, 6\)"):
        model.apply(variables, jnp.ones((2, 9, 6, 6)))
    with pytest.raises(ValueError, match="inputs must be 1, got inputs=2"):
        model.apply(variables, jnp.ones((2, 8, 6, 6)), jnp.ones(3))


def test_images_of_any_size_where_nothing_fixes_it() -> None:
    net = random_state(
        nn.Sequential(CONV(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    )
    model, variables = jaxcnn.from_torch(net, image(c=6))
    other = image(c=6, h=11, w=13)
    with torch.no_grad():
        theirs = net(other).numpy()
    assert_equal(model.apply(variables, last(other.numpy())), theirs)


def test_batch_sizes() -> None:
    assert [program.Batch(3, 2, 1).at(n) for n in (2, 4)] == [4, 7]
