"""A pytest plugin (-p tests.kernels.force_checked): the emulator device checks every access."""

from typing import Any

from gpucnn.runtime.emulator import EmulatorLauncher

_init = EmulatorLauncher.__init__


def _checked(self: EmulatorLauncher, *args: Any, **options: Any) -> None:
    _init(self, *args, **{**options, "checked": True})


EmulatorLauncher.__init__ = _checked  # type: ignore[method-assign]
