"""Writes a converted module as a Python file."""

from __future__ import annotations

import jax

from jaxcnn._checks import check_type
from jaxcnn.interop.converted import Converted
from jaxcnn.interop.source.layers import with_layers
from jaxcnn.interop.source.render import File
from jaxcnn.interop.source.tree import call_tree

__all__ = ["to_source"]


def to_source(module: Converted) -> str:
    """Writes a converted module as a Python file that a person would have written.

    The file has a linen module for each class of the PyTorch module, with the same attributes, made
    of the layers of `jaxcnn.nn`. It needs no PyTorch, and the PyTorch model's state_dict fits it.
    Layers start from PyTorch's default distributions; other parameters from a normal one, with the
    moments of the values that they had.

    Args:
      module: What `from_torch` made.

    Returns:
      The text of the file. Its last class has the name of the PyTorch class and is called without
      arguments.

    Raises:
      TypeError: If `module` is no Converted.
      ValueError: If it calls a rule that cannot be imported from where it was defined, or holds a
        large array that is neither parameter nor buffer.

    Example:
      >>> from jaxcnn.interop.program import Layer, Program, Statement, Var
      >>> program = Program(
      ...     "Net",
      ...     (Statement((1,), args=(Var(0),), layer="fc"), Statement((2,), "F.relu", (Var(1),))),
      ...     {"fc": Layer("Linear", {"in_features": 3, "out_features": 4})},
      ...     {}, {}, Var(2), (jax.ShapeDtypeStruct((1, 3), "float32"),), False, {},
      ...     {"": "Net", "fc": "Linear"}, 0,
      ... )
      >>> print(to_source(Converted(program)).partition("setup")[2])
      (self) -> None:
              self.fc = nn.Linear(3, 4)
      <BLANKLINE>
          def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
              return F.relu(self.fc(x))
      <BLANKLINE>
    """
    rule = "module must be what from_torch makes"
    check_type(isinstance(module, Converted), "to_source", rule, module=type(module).__name__)
    program = module.program
    outputs, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), *program.inputs)
    shapes = jax.tree.map(lambda x: x.shape, outputs)
    return File(program, call_tree(with_layers(program)), shapes).write()
