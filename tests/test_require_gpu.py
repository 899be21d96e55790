"""The test suite's own option --require-gpu (tests/conftest.py)."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest


def outcome(device: str, required: bool, **report: Any) -> str:
    """What the hook makes of a report on a test of `device`."""
    config = SimpleNamespace(getoption=lambda name: required)
    item = SimpleNamespace(callspec=SimpleNamespace(params={"ops": device}), config=config)
    given = SimpleNamespace(**report, outcome="skipped", longrepr="why")
    hook = conftest.pytest_runtest_makereport(item)  # type: ignore[arg-type]
    next(hook)
    with pytest.raises(StopIteration) as stopped:
        hook.send(given)  # type: ignore[arg-type]
    return str(stopped.value.value.outcome)


def test_a_skip_on_cuda_is_a_failure() -> None:
    assert outcome("cuda", True, skipped=True) == "failed"


@pytest.mark.parametrize(("device", "required"), [("cpu", True), ("cuda", False)])
def test_any_other_skip_stays_one(device: str, required: bool) -> None:
    assert outcome(device, required, skipped=True) == "skipped"


def test_an_expected_failure_is_no_skip() -> None:
    assert outcome("cuda", True, skipped=True, wasxfail="known") == "skipped"


def test_without_a_gpu_the_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conftest, "DEVICES", ["cpu", "emulator"])
    config = SimpleNamespace(getoption=lambda name: True)
    with pytest.raises(pytest.UsageError, match="sees no GPU"):
        conftest.pytest_configure(config)  # type: ignore[arg-type]
