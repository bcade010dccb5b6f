"""Settings of the whole test run: precision, eight simulated devices, float64, the options."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import jax
import numpy as np
import pytest

# On accelerators the default would compare TF32 or bfloat16 with PyTorch's float32.
jax.config.update("jax_default_matmul_precision", "highest")
# Before the backend starts; several devices let pmap and sharding be tested on one processor.
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    jax.config.update("jax_num_cpu_devices", 8)


@pytest.fixture
def x64() -> Iterator[None]:
    """Runs the test with 64-bit types."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="session")
def torchvision() -> Any:
    """The package; a test that asks for it is marked `torchvision`."""
    from jaxcnn.interop._torchvision import import_torchvision

    try:
        return import_torchvision()
    except ImportError:
        pytest.skip("needs torchvision: pip install --no-deps torchvision")


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test in float32, then in float64."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param


@pytest.fixture
def rng() -> np.random.RandomState:
    """A seeded source of numbers, the same for every test."""
    return np.random.RandomState(0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="run all samples of PyTorch's operator tests, not a slice (about an hour)",
    )
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="fail every test that would be skipped (CI: nothing may be left out)",
    )


def _fail_if_skipped(config: pytest.Config, report: Any) -> None:
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not expected_failure and config.getoption("no_skips"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"--no-skips: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    _fail_if_skipped(item.config, report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """A module skips itself here, with `pytest.importorskip`."""
    report = yield
    _fail_if_skipped(collector.config, report)
    return report
