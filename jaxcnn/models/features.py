"""A model as a backbone: its intermediate maps instead of its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax

from jaxcnn._checks import check
from jaxcnn._modules import named_modules


class FeatureExtractor(nn.Module):
    """Returns what named modules inside a model return, for detection or segmentation.

    Mirrors `torchvision.models.feature_extraction.create_feature_extractor`. The variables are
    the model's own, its last layers' included, so its checkpoints load unchanged. Under `jax.jit`
    layers that no feature needs are not computed.

    Attributes:
      model: The model.
      names: PyTorch names of modules, such as "layer3" or "features.4.1". Defaults to the model's
        `feature_names`, one map for each scale; of a model without, to those of its children that
        return images.

    Call:
      *inputs: What the model takes.
      train: Passed to the model if it is True.

    Returns:
      The maps by name. Of a module that is called several times, the last one.

    Raises:
      ValueError: If the model has no such module, or does not call it.

    Example:
      >>> import jax.numpy as jnp
      >>> from jaxcnn import models
      >>> backbone = FeatureExtractor(models.resnet18(num_classes=2), ("layer1", "layer4"))
      >>> shapes, _ = jax.eval_shape(
      ...     backbone.init_with_output, jax.random.key(0), jnp.ones((1, 64, 64, 3)))
      >>> {name: y.shape for name, y in shapes.items()}
      {'layer1': (1, 16, 16, 64), 'layer4': (1, 2, 2, 512)}
    """

    model: nn.Module
    names: Sequence[str] | None = None

    def setup(self) -> None:
        nn.share_scope(self, self.model)

    def __call__(self, *inputs: Any, train: bool = False) -> dict[str, Any]:
        outputs: dict[int, Any] = {}

        def keep(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
            result = call(*args, **kwargs)
            if context.method_name == "__call__":
                outputs[id(context.module)] = result
            return result

        with nn.intercept_methods(keep):
            self.model(*inputs, **({"train": True} if train else {}))
        returned = {
            name: outputs[id(module)]
            for name, module in named_modules(self.model)
            if id(module) in outputs
        }
        names = self.names or getattr(self.model, "feature_names", None) or _images(returned)
        unknown = [name for name in names if name not in returned]
        rule = f"names must be modules that {type(self.model).__name__} calls"
        check(not unknown, "FeatureExtractor", rule, unknown=unknown)
        return {name: returned[name] for name in names}


def _images(returned: dict[str, Any]) -> list[str]:
    return [
        name
        for name, value in returned.items()
        if name and "." not in name and isinstance(value, jax.Array) and value.ndim == 4
    ]
