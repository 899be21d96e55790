"""Measured plans: of the candidates that give the same bits, the fastest, found once.

A choice holds for one environment (GPU, driver, CuPy, NVRTC, the kernels' text) and is kept in a
file of that environment. What cannot be read or written there is measured again.
"""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from gpucnn.ops.kernels.conv_plan import ConvPlan, candidates
from gpucnn.ops.shapes import Conv2dShape

Choices = dict[str, dict[str, int]]


class Tuner:
    """`measure(work)` gives the milliseconds of what `work` launches."""

    def __init__(
        self,
        measure: Callable[[Callable[[], None]], float],
        environment: Mapping[str, str],
        folder: Path,
    ) -> None:
        self._measure = measure
        self._environment = dict(environment)
        text = json.dumps(self._environment, sort_keys=True)
        self.path = folder / f"plans-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
        self._plans: dict[tuple[ConvPlan, Conv2dShape, str], ConvPlan] = {}
        self._read = self._file()

    def choose(
        self,
        first: ConvPlan,
        shape: Conv2dShape,
        dtype: str,
        launch: Callable[[ConvPlan], None],
        *,
        measuring: bool = True,
    ) -> ConvPlan:
        """The fastest of the candidates; `first` where there is no other.

        `launch` runs a plan, any number of times to the same result. Without `measuring` (while a
        graph is captured), what is not known yet is `first`.
        """
        key = (first, shape, dtype)
        if key not in self._plans:
            plans = list(candidates(first, dtype))
            name = f"{first.operation} {dtype} {shape}"
            known = [found for found in plans if dict(found.macros) == self._read.get(name)]
            if not known and len(plans) > 1:
                if not measuring:
                    return first
                times = {found: self._measure(partial(launch, found)) for found in plans}
                known = [min(plans, key=times.__getitem__)]
                self._keep(name, known[0])
            self._plans[key] = known[0] if known else first
        return self._plans[key]

    def _keep(self, name: str, chosen: ConvPlan) -> None:
        # Another process may have written since: its choices stay.
        self._read = {**self._file(), **self._read, name: dict(chosen.macros)}
        text = json.dumps({"environment": self._environment, "choices": self._read}, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.path.parent, suffix=".tmp")
            try:
                with os.fdopen(handle, "w") as file:
                    file.write(text)
                os.replace(temporary, self.path)
            except OSError:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            logging.getLogger("gpucnn").info(
                "plans are not kept in %s: %s", self.path, error.strerror or error
            )

    def _file(self) -> Choices:
        """What the file holds, of what has the right form."""
        try:
            found: Any = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict) or found.get("environment") != self._environment:
            return {}
        choices = found.get("choices")
        if not isinstance(choices, dict):
            return {}
        return {name: macros for name, macros in choices.items() if isinstance(macros, dict)}
