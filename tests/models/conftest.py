"""torchvision, for the tests that compare with it."""

from __future__ import annotations

from typing import Any

import pytest

from .torchvision_twins import load


@pytest.fixture(scope="session")
def torchvision() -> Any:
    """The package; a test that asks for it is marked `torchvision`."""
    try:
        return load()
    except ImportError:
        pytest.skip("needs torchvision: pip install --no-deps torchvision")
