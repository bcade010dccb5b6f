"""Initialisers: torch.nn.init's distributions, as functions of (key, shape, dtype).

Shapes are PyTorch's: (out, in, *kernel). Where `torch.nn.init` fills a tensor in place, a function
here returns an initialiser `(key, shape, dtype) -> array`, which linen's `Module.param` takes;
torch's `generator` is the key. `jaxcnn.parameters` applies one to the parameters of a model.
"""

from jaxcnn.init.defaults import default_bias, default_weight
from jaxcnn.init.distributions import (
    Initializer,
    constant,
    normal,
    ones,
    trunc_normal,
    uniform,
    zeros,
)
from jaxcnn.init.fans import (
    calculate_gain,
    fan_in_and_fan_out,
    kaiming_normal,
    kaiming_uniform,
    xavier_normal,
    xavier_uniform,
)
from jaxcnn.init.matrices import dirac, eye, orthogonal, sparse

__all__ = [
    "Initializer",
    "calculate_gain",
    "constant",
    "default_bias",
    "default_weight",
    "dirac",
    "eye",
    "fan_in_and_fan_out",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "orthogonal",
    "sparse",
    "trunc_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
