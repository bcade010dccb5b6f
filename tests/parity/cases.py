"""The one table of parity cases, and what to pick from it."""

from __future__ import annotations

import itertools

from .activation_cases import CASES_ACTIVATION
from .case import Case
from .conv_cases import CASES_CONV
from .functions import FUNCTIONS
from .layers import LAYERS
from .linear_cases import CASES_LINEAR
from .loss_cases import CASES_LOSS
from .normalization_cases import NORMALIZATION
from .pooling_cases import POOLING
from .shape_cases import CASES_SHAPE

ROOMS = (FUNCTIONS, LAYERS, CASES_ACTIVATION, CASES_CONV, CASES_LINEAR, CASES_LOSS, CASES_SHAPE)
CASES: dict[str, Case] = {case.id: case for case in itertools.chain(*ROOMS, NORMALIZATION, POOLING)}
assert len(CASES) == sum(map(len, (*ROOMS, NORMALIZATION, POOLING))), "two cases have the same id"

GOLDEN = [id for id, case in CASES.items() if case.golden]
MODULES = [id for id, case in CASES.items() if case.module]
