"""Every planted fault is caught, in checked mode, by the check that is named for it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from gpucnn.errors import GpucnnError
from gpucnn.ops.base import Ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.runtime import emulator_build
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.source import kernels_folder
from tests.kernels.faults import Fault, all_faults, changed_folder

FAULTS = all_faults()
CHECKS = ("memcheck", "initcheck", "racecheck", "synccheck")


@cache
def passes_unchanged(check: Callable[[Ops], None]) -> bool:
    """Run a check on the kernels as they are; a check that fails there proves nothing."""
    check(KernelOps(EmulatorLauncher(checked=True)))
    return True


@pytest.mark.parametrize("kernel", sorted({fault.kernel for fault in FAULTS}))
def test_a_kernel_is_clean_in_checked_mode(kernel: str) -> None:
    """One check a kernel, for the runs that leave out the faults."""
    assert passes_unchanged(next(fault.check for fault in FAULTS if fault.kernel == kernel))


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.kernel}: {f.name}".replace(" ", "-"))
def test_a_planted_fault_is_caught(
    fault: Fault, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    if "not begun" in fault.name and not emulator_build._poison():
        pytest.skip("before version 12, g++ leaves local variables as they happen to be")
    assert passes_unchanged(fault.check)
    ops = KernelOps(EmulatorLauncher(changed_folder(fault, tmp_path), checked=True))
    with pytest.raises((AssertionError, GpucnnError)) as caught:
        fault.check(ops)
    by = caught_by(caught.value)
    record_property("planted fault", (fault.kernel, fault.name, ", ".join(by)))
    assert fault.by in by, f"caught by {by}, not by {fault.by}: {caught.value}"


def caught_by(error: BaseException) -> list[str]:
    """The checks that speak up in an error, or that the result is wrong."""
    if isinstance(error, AssertionError):
        return ["wrong value"]
    return [check for check in CHECKS if f"{check}: " in str(error)] or [type(error).__name__]


def test_every_fault_can_be_planted() -> None:
    """For the runs that leave them out: each stands once in the kernels as they are now."""
    texts = {path.name: path.read_text() for path in kernels_folder().iterdir()}
    assert [(f.file, f.name) for f in FAULTS if texts[f.file].count(f.old) != 1] == []
    assert {f.by for f in FAULTS} <= {"wrong value", *CHECKS}


def test_faults_have_names_of_their_own() -> None:
    names = [(fault.kernel, fault.name) for fault in FAULTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", sorted(path.name for path in kernels_folder().glob("*.cu")))
def test_every_kernel_has_three_faults(file: str) -> None:
    assert sum(fault.file == file for fault in FAULTS) >= 3
