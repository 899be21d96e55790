"""What a benchmark found: a row for each method and shape, as JSON and back."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from gpucnn.errors import ConfigError, DataError
from gpucnn.profiling.benchmark.timers import COLD, WARM
from gpucnn.profiling.files import read_json
from gpucnn.profiling.profile import Ceilings
from gpucnn.training.files import write_atomically

FORMAT = 1
OURS, TORCH = "gpucnn", "torch"
TIMED, WRONG, FAILED, LEFT_OUT = "timed", "wrong", "failed", "left out"


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call by somebody: the median, and the quartiles around it."""

    by: str
    cache: str
    """cold or warm: whether the L2 holds the call's arrays. On `cpu` always warm."""
    ms: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, by: str, cache: str, times: list[float]) -> "Timing":
        low, middle, high = quantiles(times, n=4, method="inclusive")
        return cls(by, cache, middle, low, high, len(times))


@dataclass(frozen=True)
class Row:
    """One method over one shape."""

    method: str
    shape: str
    sizes: tuple[int, ...]
    status: str
    note: str = ""
    """Why there is no time, where there is none."""
    oracle: str = ""
    """What the result was held against before it was timed, and how (check.py)."""
    error: float | None = None
    reference_sizes: tuple[int, ...] = ()
    """Those of the smaller case that gpucnn.reference computed, if it did."""
    flops: int = 0
    bytes: int = 0
    times: tuple[Timing, ...] = ()

    @property
    def key(self) -> tuple[str, str, tuple[int, ...]]:
        return self.method, self.shape, self.sizes

    def time(self, by: str, cache: str) -> Timing | None:
        return next((t for t in self.times if (t.by, t.cache) == (by, cache)), None)

    def ratio(self, cache: str) -> float | None:
        """PyTorch's median over ours: above 1, gpucnn is faster."""
        ours, theirs = self.time(OURS, cache), self.time(TORCH, cache)
        return None if ours is None or theirs is None else theirs.ms / ours.ms

    @property
    def caches(self) -> list[str]:
        return [cache for cache in (COLD, WARM) if self.time(OURS, cache) is not None]

    def rates(self, cache: str) -> tuple[float, float]:
        """TFLOP/s and GB/s, of the least that the method has to compute and move."""
        ours = self.time(OURS, cache)
        if ours is None or ours.ms == 0:
            return 0.0, 0.0
        return self.flops / ours.ms / 1e9, self.bytes / ours.ms / 1e6


@dataclass(frozen=True)
class Benchmark:
    """Where and how it was measured, and what came out."""

    meta: dict[str, Any]
    ceilings: Ceilings | None
    rows: tuple[Row, ...] = ()
    finished: bool = True
    """Whether all of it was done; not, where it was interrupted."""

    def percent(self, row: Row, cache: str) -> float | None:
        """How near the row comes to the nearer of the two ceilings."""
        if self.ceilings is None or row.time(OURS, cache) is None:
            return None
        tflops, gb_s = row.rates(cache)
        return 100 * max(tflops / self.ceilings.gemm_tflops, gb_s / self.ceilings.copy_gb_s)

    def to_json(self) -> dict[str, Any]:
        """Every figure, also those that follow from others."""
        rows = []
        for row in self.rows:
            values = asdict(row)
            if row.caches:
                values["derived"] = {cache: self._derived(row, cache) for cache in row.caches}
            rows.append(values)
        ceilings = None if self.ceilings is None else asdict(self.ceilings)
        return {
            "benchmark": FORMAT,
            "finished": self.finished,
            "meta": self.meta,
            "ceilings": ceilings,
            "rows": rows,
        }

    def _derived(self, row: Row, cache: str) -> dict[str, float | None]:
        tflops, gb_s = row.rates(cache)
        return {
            "tflops": tflops,
            "gb_s": gb_s,
            "percent_of_ceiling": self.percent(row, cache),
            "torch_over_gpucnn": row.ratio(cache),
        }

    @classmethod
    def from_json(cls, values: Any) -> "Benchmark":
        """DataError where it is not what `to_json` makes."""
        if not isinstance(values, dict) or values.get("benchmark") != FORMAT:
            raise DataError("not a file of gpucnn benchmark, or of another version of it")
        try:
            ceilings = values["ceilings"]
            rows = []
            for found in values["rows"]:
                known = {key: value for key, value in found.items() if key != "derived"}
                times = tuple(Timing(**time) for time in known["times"])
                sizes = {key: tuple(known[key]) for key in ("sizes", "reference_sizes")}
                rows.append(Row(**{**known, **sizes, "times": times}))
            return cls(
                values["meta"],
                None if ceilings is None else Ceilings(**ceilings),
                tuple(rows),
                values["finished"],
            )
        except (KeyError, TypeError) as error:
            raise DataError(f"a damaged file of gpucnn benchmark: {error}") from error


def write_benchmark(path: Path, benchmark: Benchmark) -> None:
    """Whole or not at all; its folder is made."""
    text = json.dumps(benchmark.to_json(), indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())


def read_benchmark(path: str | Path) -> Benchmark:
    """DataError where it is missing or damaged."""
    return read_json(Path(path), "benchmark", Benchmark.from_json)


def check_free(path: Path) -> None:
    """ConfigError where a file already lies there, or it is no .json."""
    if path.suffix != ".json":
        raise ConfigError(f"--output must name a .json file, got {str(path)!r}")
    for taken in (path, chart_of(path)):
        if taken.exists():
            raise ConfigError(
                f"--output: {taken} already exists: choose another name, or remove it"
            )


def chart_of(path: Path) -> Path:
    """Where the chart of a result lies."""
    return path.with_suffix(".png")
