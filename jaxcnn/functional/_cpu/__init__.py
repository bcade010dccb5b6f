"""The same math as programs that XLA:CPU runs fast.

The public functions choose these with `jax.lax.platform_dependent`; other platforms run the plain
program. Each figure was measured on two cores, float32.

Derivatives are written as custom tangents built from ordinary, linear operations. Reverse mode
transposes those operations, so a tangent is chosen by what its transpose costs; forward mode,
vmap and higher derivatives work as for any other function.
"""

from jaxcnn.functional._cpu.conv import conv, conv_transpose
from jaxcnn.functional._cpu.linear import linear
from jaxcnn.functional._cpu.pooling import max_pool, sliding_sum

__all__ = ["conv", "conv_transpose", "linear", "max_pool", "sliding_sum"]
