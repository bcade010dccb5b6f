"""The start of a file: what it says about itself, and its imports."""

from __future__ import annotations

import textwrap
from typing import Any

from jaxcnn.interop.program import Program
from jaxcnn.interop.source.expressions import Names
from jaxcnn.interop.source.text import flat, value

# By the name in the file.
IMPORTS = {
    "linen": "from flax import linen",
    "jax": "import jax",
    "jax.scipy.special": "import jax.scipy.special",
    "jnp": "import jax.numpy as jnp",
    "np": "import numpy as np",
    "F": "from jaxcnn import functional as F",
}


def docstring(program: Program, output_shapes: Any) -> str:
    """What the file says about itself.

    Args:
      program: What it was made of.
      output_shapes: The shapes of what that returns for the example.
    """
    shapes = [flat(value(x.shape)) for x in program.inputs]
    names = ["x"] if len(shapes) == 1 else [f"x{i + 1}" for i in range(len(shapes))]
    size = "that size only" if program.fixed_size else "any size"
    layout = ", channels last," if program.has_images else ""
    about = (
        f"It was written by `jaxcnn.interop.to_source`, from a run of PyTorch's `{program.name}` "
        f"on {' and '.join(shapes)}; it takes {size}{layout} in batches of any number."
    )
    skipped = "|".join(rf"^{name}$".replace(".", r"\.") for name in program.tied)
    skip = f', skip=r"{skipped}"' if skipped else ""
    inputs = ", ".join(names)
    rows = [
        f'{"r" if skip else ""}"""{program.name}, converted from PyTorch.',
        "",
        *textwrap.wrap(about, 98),
        "",
        "The PyTorch model's state_dict fits as it is:",
        "",
        '    state_dict = jaxcnn.read_state_dict("model.safetensors")',
        f"    like = jax.eval_shape(model.init, jax.random.key(0), {inputs})",
        f"    variables = jaxcnn.to_variables(state_dict, like{skip})",
        f"    y = model.apply(variables, {inputs})",
        "",
        "Example:",
        "  >>> import jax",
        "  >>> import jax.numpy as jnp",
        f"  >>> model = {program.name}()",
    ]
    for name, shape, x in zip(names, shapes, program.inputs, strict=True):
        kind = "" if x.dtype == "float32" else f', "{x.dtype}"'
        rows.append(f"  >>> {name} = jnp.ones({shape}{kind})")
    rows += [
        f"  >>> y, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), {inputs})",
        "  >>> jax.tree.map(jnp.shape, y)",
        f"  {output_shapes!r}",
        '"""',
    ]
    return "\n".join(rows)


def import_lines(names: Names, packed: bool) -> str:
    """The imports that the file needs."""
    found = names.imports | ({"np"} if packed else set())
    rows = ["import base64", "import zlib"] if packed else []
    rows += ["from typing import Any"] if "Any" in found else []
    own = [name for name in ("init", "layout", "nn") if name in found]
    third = [line for key, line in IMPORTS.items() if key in found]
    third += [f"from jaxcnn import {', '.join(own)}"] if own else []
    third += ["from jaxcnn.interop import tensor"] if "tensor" in found else []
    third += [f"from {module} import {name}" for module, name in names.functions.values()]
    plain = sorted(line for line in third if line.startswith("import "))
    froms = [line for line in third if not line.startswith("import ")]
    blocks = ["\n".join(rows)] if rows else []
    return "\n\n".join([*blocks, "\n".join([*plain, *froms])])
