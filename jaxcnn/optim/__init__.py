r"""torch.optim's update rules, learning-rate schedules and gradient clipping, on optax.

Every optimiser and clip is an `optax.GradientTransformation`, every schedule a function from the
step number to the learning rate, which an optimiser takes as its `lr`. They go together as in a
PyTorch loop, clip first:

    schedule = optim.cosine_annealing_lr(0.1, T_max=1000)
    tx = optax.chain(optim.clip_grad_norm(1.0), optim.sgd(schedule, momentum=0.9))

Different settings for different parameters, PyTorch's parameter groups, are `grouped`:

    tx = optim.grouped(optim.adamw, lr=schedule, weight_decay=0.05, lr_factors={r"^fc\.": 10})
"""

from jaxcnn.optim.adam import AdamState, NAdamState, adam, adamw, nadam
from jaxcnn.optim.adaptive import (
    AdadeltaState,
    AdagradState,
    RMSpropState,
    adadelta,
    adagrad,
    rmsprop,
)
from jaxcnn.optim.clip import clip_grad_norm, clip_grad_value
from jaxcnn.optim.groups import grouped
from jaxcnn.optim.one_cycle import OneCycle, one_cycle_lr
from jaxcnn.optim.schedules import (
    cosine_annealing_lr,
    cosine_annealing_warm_restarts,
    exponential_lr,
    lambda_lr,
    linear_lr,
    multi_step_lr,
    polynomial_lr,
    sequential_lr,
    step_lr,
)
from jaxcnn.optim.sgd import MomentumState, sgd

__all__ = [
    "AdadeltaState",
    "AdagradState",
    "AdamState",
    "MomentumState",
    "NAdamState",
    "OneCycle",
    "RMSpropState",
    "adadelta",
    "adagrad",
    "adam",
    "adamw",
    "clip_grad_norm",
    "clip_grad_value",
    "cosine_annealing_lr",
    "cosine_annealing_warm_restarts",
    "exponential_lr",
    "grouped",
    "lambda_lr",
    "linear_lr",
    "multi_step_lr",
    "nadam",
    "one_cycle_lr",
    "polynomial_lr",
    "rmsprop",
    "sequential_lr",
    "sgd",
    "step_lr",
]
