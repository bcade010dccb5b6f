"""The one table of parity cases, and what to pick from it."""

from __future__ import annotations

from .case import Case
from .functions import FUNCTIONS
from .layers import LAYERS

CASES: dict[str, Case] = {case.id: case for case in (*FUNCTIONS, *LAYERS)}
assert len(CASES) == len(FUNCTIONS) + len(LAYERS), "two cases have the same id"

GOLDEN = [id for id, case in CASES.items() if case.golden]
MODULES = [id for id, case in CASES.items() if case.module]
