"""Fixtures that every part shares. New devices join the suite by a line in DEVICES."""

import importlib.util
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

import gpucnn
from gpucnn.ops.base import Ops
from gpucnn.runtime.cuda_checks import keep_cache_writable


def gpu_at_hand() -> bool:
    """Whether CuPy is installed and sees a GPU."""
    if importlib.util.find_spec("cupy") is None:
        return False
    keep_cache_writable()
    try:
        import cupy
    except ImportError:
        return False
    return bool(cupy.cuda.is_available())


DEVICES = ["cpu", "emulator", *(["cuda"] if gpu_at_hand() else [])]
DTYPES = ["float32", "float64"]

# The same examples on every run, and no deadline: the suite asserts nothing about time.
settings.register_profile("gpucnn", derandomize=True, deadline=None)
settings.load_profile("gpucnn")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-gpu", action="store_true", help="fail where a test on cuda is skipped"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--require-gpu") and "cuda" not in DEVICES:
        raise pytest.UsageError("--require-gpu: CuPy is not installed or sees no GPU")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under --require-gpu, a test that is skipped on cuda has failed."""
    report = yield
    values: dict[str, Any] = item.callspec.params if hasattr(item, "callspec") else {}
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and "cuda" in values.values() and item.config.getoption("--require-gpu"):
        report.outcome = "failed"
        report.longrepr = f"skipped on cuda under --require-gpu: {report.longrepr}"
    return report


@pytest.fixture(params=DEVICES, scope="session")
def ops(request: pytest.FixtureRequest) -> Ops:
    """The operations of each device in turn."""
    return gpucnn.get_ops(request.param)


@pytest.fixture(params=DTYPES, scope="session")
def dtype(request: pytest.FixtureRequest) -> str:
    """Each dtype the library computes in."""
    return request.param
