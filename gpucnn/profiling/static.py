"""What kernels take of a GPU that is not there: NVRTC compiles them for it and tells."""

from collections.abc import Iterable, Mapping
from typing import Any

from gpucnn.errors import DeviceError
from gpucnn.profiling.spans import Launch
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.registry import Build
from gpucnn.runtime.report import Usage, occupancy, report


class StaticReport:
    """Registers, spills, shared memory and occupancy of some kernels on an architecture.

    `missing` says what to install where NVRTC is not there; all figures are unknown then.
    """

    def __init__(self, kernels: Iterable[Kernel], arch: str):
        self.arch = arch
        self.missing = ""
        self._usages: dict[tuple[str, tuple[tuple[str, str], ...]], Usage] = {}
        symbols: dict[tuple[str, tuple[tuple[str, str], ...]], set[str]] = {}
        for kernel in kernels:
            symbols.setdefault((kernel.file, kernel.macros), set()).add(kernel.symbol)
        builds = [Build(*key, tuple(sorted(names))) for key, names in symbols.items()]
        try:
            for usage in report(builds, [arch]):
                self._usages[usage.symbol, usage.build.macros] = usage
        except DeviceError as error:
            self.missing = f"unknown: {error}"

    def resources(self, launch: Launch) -> Mapping[str, Any]:
        """A launch's, as fields of a Row."""
        usage = self._usages.get((launch.kernel.symbol, launch.kernel.macros))
        if usage is None:
            return {}
        threads = launch.block[0] * launch.block[1] * launch.block[2]
        shared = usage.shared + launch.shared_bytes
        return {
            "registers": usage.registers,
            "spilled_bytes": usage.spilled,
            "shared_bytes": shared,
            "occupancy": occupancy(self.arch, threads, usage.registers, shared),
        }
