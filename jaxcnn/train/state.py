"""Everything that a training step changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.core
import jax.numpy as jnp
import optax
from flax import struct
from flax.training.dynamic_scale import DynamicScale
from jax.typing import ArrayLike

from jaxcnn._checks import check, check_type
from jaxcnn.train.ema import AveragedParams, start_average


class TrainState(struct.PyTreeNode):
    """The state of a training run; a step returns a new one.

    Attributes:
      step: Steps made so far.
      params: Parameters of the model.
      batch_stats: Running statistics of the model; empty if it has none.
      opt_state: State of the optimiser.
      rng: Random key; each step derives its own from it and `step`.
      apply_fn: `model.apply`.
      tx: The optimiser.
      ema: The averaged parameters, `AveragedParams`; None without.
      loss_scale: The scale of a float16 loss, see `grad_scaler`; None without.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    rng: jax.Array
    apply_fn: Callable[..., Any] = struct.field(pytree_node=False)
    tx: optax.GradientTransformation = struct.field(pytree_node=False)
    ema: AveragedParams | None = None
    loss_scale: DynamicScale | None = None

    @property
    def variables(self) -> dict[str, Any]:
        """What `apply_fn` takes: parameters, and statistics if there are any."""
        stats = {"batch_stats": self.batch_stats} if self.batch_stats else {}
        return {"params": self.params, **stats}

    @property
    def averaged(self) -> TrainState:
        """The state to evaluate: with the averaged parameters in place of the last ones, if any.

        The statistics are the last ones, as in `torch.optim.swa_utils.AveragedModel`.
        """
        return self if self.ema is None else self.replace(params=self.ema.params)


def create_state(
    model: nn.Module,
    tx: optax.GradientTransformation,
    key: jax.Array,
    sample: ArrayLike,
    *,
    initialize: Callable[[jax.Array, jax.Array], Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    ema: bool = False,
    loss_scale: DynamicScale | None = None,
) -> TrainState:
    """Initialises a model and its optimiser, in one compiled program.

    Args:
      model: A linen module whose `__call__` takes `train`.
      tx: The optimiser, such as `optim.sgd(0.1)`.
      key: Random key for the parameters and for everything random in training.
      sample: An input batch; only its shape and dtype count.
      initialize: `(key, sample) -> variables`, `model.init` by default.
      variables: Variables to start from, such as `to_variables(...)`, instead of new ones.
      ema: Whether to keep an average of the parameters, for `make_train_step(ema=...)`.
      loss_scale: `grad_scaler()`, for `make_train_step(precision="float16")`.

    Raises:
      TypeError: If the model does not take `train`.
      ValueError: If `variables` are not those of the model.

    Example:
      >>> from jaxcnn import models, optim
      >>> state = create_state(
      ...     models.lenet(), optim.sgd(0.1), jax.random.key(0), jnp.ones((1, 28, 28, 1)))
      >>> int(state.step)
      0
    """
    takes_train = "train" in inspect.signature(type(model).__call__).parameters
    rule = "the model's __call__ must take train=False"
    name = type(model).__name__
    check_type(takes_train, "create_state", rule, model=name)
    # Bytes become floats before they reach the model.
    dtype = jnp.promote_types(jnp.result_type(sample), jnp.float32)
    if variables is not None:
        like = jax.ShapeDtypeStruct(jnp.shape(sample), dtype)
        _check_fit(variables, jax.eval_shape(model.init, key, like))
        # A training step reuses the memory of its state; the caller keeps these.
        variables = jax.tree.map(jnp.array, dict(variables))

    def start(key: jax.Array, variables: Mapping[str, Any] | None) -> TrainState:
        init_key, rng = jax.random.split(key)
        if variables is None:
            variables = (initialize or model.init)(init_key, jnp.zeros(jnp.shape(sample), dtype))
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=variables["params"],
            batch_stats=variables.get("batch_stats", {}),
            opt_state=tx.init(variables["params"]),
            rng=rng,
            apply_fn=model.apply,
            tx=tx,
            ema=start_average(variables["params"]) if ema else None,
        )

    options = None
    # Only a program of its own can have options, one inside a caller's jit has none.
    if jax.default_backend() == "cpu" and not isinstance(key, jax.core.Tracer):
        # It runs once. Random numbers compile four times faster so, and are the same.
        options = {"xla_backend_optimization_level": 1}
    state = jax.jit(start, compiler_options=options)(key, variables)
    return state.replace(loss_scale=jax.tree.map(jnp.copy, loss_scale))


def _check_fit(variables: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    have, want = (
        {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in leaves}
        for leaves in map(jax.tree.leaves_with_path, (variables, expected))
    )
    wrong = sorted(name for name in {*have, *want} if have.get(name) != want.get(name))
    check(not wrong, "create_state", "variables must be those of the model", differ=wrong)
