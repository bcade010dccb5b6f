"""Argument checks: the form of their messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jaxcnn import _checks


@pytest.mark.parametrize(
    ("value", "expected"),
    [(3, (3, 3)), (np.int64(3), (3, 3)), ((1, 2), (1, 2)), ([1, 2], (1, 2))],
    ids=str,
)
def test_int_tuple(value: Any, expected: tuple[int, int]) -> None:
    result = _checks.int_tuple(value, 2, "Layer", "size", 1)
    assert result == expected
    assert all(type(v) is int for v in result)


@pytest.mark.parametrize(
    ("error", "value", "message"),
    [
        (TypeError, 1.0, r"size must be an int or a sequence of 2 ints, got size=1\.0\."),
        (TypeError, True, r"size must be an int or a sequence of 2 ints, got size=True\."),
        (TypeError, "ab", r"size must be an int or a sequence of 2 ints, got size='ab'\."),
        (TypeError, None, r"size must be an int or a sequence of 2 ints, got size=None\."),
        (TypeError, (1, 2.0), r"size must be an int or .*, got size=\(1, 2\.0\)\."),
        (ValueError, (1, 2, 3), r"size must be an int or .*, got size=\(1, 2, 3\)\."),
        (ValueError, (1,), r"size must be an int or a sequence of 2 ints, got size=\(1,\)\."),
        (ValueError, 0, r"size must be at least 1, got size=0\."),
        (ValueError, (3, -1), r"size must be at least 1, got size=\(3, -1\)\."),
    ],
    ids=str,
)
def test_int_tuple_errors(error: type[Exception], value: Any, message: str) -> None:
    with pytest.raises(error, match=f"^Layer: {message}$"):
        _checks.int_tuple(value, 2, "Layer", "size", 1)


@pytest.mark.parametrize(
    ("error", "value", "message"),
    [
        (TypeError, 2.0, r"n must be an int, got n=2\.0\."),
        (TypeError, False, r"n must be an int, got n=False\."),
        (ValueError, -1, r"n must be at least 0, got n=-1\."),
    ],
    ids=str,
)
def test_check_int_errors(error: type[Exception], value: Any, message: str) -> None:
    with pytest.raises(error, match=f"^Layer: {message}$"):
        _checks.check_int("Layer", "n", value, 0)


def test_check_names_every_value_and_the_fix() -> None:
    with pytest.raises(ValueError, match=r"^Layer: a must be b, got a=1, b='x'; make them so\.$"):
        _checks.check(False, "Layer", "a must be b", "make them so", a=1, b="x")


def test_check_passes() -> None:
    _checks.check(True, "Layer", "rule", value=1)
    _checks.check_type(True, "Layer", "rule", value=1)
    _checks.check_int("Layer", "n", 0, 0)
    _checks.check_channels("Layer", (1, 4, 4, 3), 3, 2)


@pytest.mark.parametrize(
    ("shape", "spatial", "channels_first"),
    [
        ((8, 3, 32, 32), 2, True),
        ((3, 32, 32), 2, True),
        ((8, 3, 32), 1, True),
        ((8, 32, 32, 4), 2, False),
        ((32, 3, 32, 32, 32), 2, False),
    ],
    ids=str,
)
def test_check_channels(shape: tuple[int, ...], spatial: int, channels_first: bool) -> None:
    fix = "; it looks channels-first: use jaxcnn.layout.to_channels_last" if channels_first else ""
    message = rf"^Layer: input must have 3 channels on its last axis, got shape=\(.*\){fix}\.$"
    with pytest.raises(ValueError, match=message):
        _checks.check_channels("Layer", shape, 3, spatial)
