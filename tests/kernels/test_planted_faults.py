"""Every planted fault is caught, in checked mode, by the check that is named for it."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from gpucnn.errors import GpucnnError
from gpucnn.ops.base import Ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.source import kernels_folder
from tests.kernels.faults import Fault, all_faults, changed_folder

FAULTS = all_faults()


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
    assert passes_unchanged(fault.check)
    ops = KernelOps(EmulatorLauncher(changed_folder(fault, tmp_path), checked=True))
    with pytest.raises((AssertionError, GpucnnError)) as caught:
        fault.check(ops)
    by = type(caught.value).__name__
    if by == "KernelError":
        by = str(caught.value).partition(": ")[2].partition(":")[0]
    record_property("planted fault", (fault.kernel, fault.name, by))


def test_faults_have_names_of_their_own() -> None:
    names = [(fault.kernel, fault.name) for fault in FAULTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("file", sorted(path.name for path in kernels_folder().glob("*.cu")))
def test_every_kernel_has_three_faults(file: str) -> None:
    assert sum(fault.file == file for fault in FAULTS) >= 3
