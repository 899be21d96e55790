"""A profile of what Nsight Compute measured, in the tables of any other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from gpucnn.errors import DataError
from gpucnn.profiling.access import Traffic
from gpucnn.profiling.limits import LAUNCH_MS
from gpucnn.profiling.ncu_csv import NcuLaunch, read_launches
from gpucnn.profiling.nvtx import layer_of
from gpucnn.profiling.predict import SECTOR
from gpucnn.profiling.profile import Profile, Row
from gpucnn.profiling.work import METHODS
from gpucnn.runtime.registry import files, symbols

TIME = "gpu__time_duration.sum"
# Of the raw page, and of the details page.
_TIME = (TIME, "Duration")
_FLOPS = {
    f"smsp__sass_thread_inst_executed_op_{name}_pred_on.sum": flops
    for name, flops in (("fadd", 1), ("fmul", 1), ("ffma", 2))
}
_SECTORS = "l1tex__t_sectors_pipe_lsu_mem_global_op_{}.sum"
LOADED, STORED = _SECTORS.format("ld"), _SECTORS.format("st")
_DRAM = ("dram__bytes_read.sum", "dram__bytes_write.sum")
_REGISTERS = ("launch__registers_per_thread", "Registers Per Thread")
_SHARED = (
    ("launch__shared_mem_per_block_static", "Static Shared Memory Per Block"),
    ("launch__shared_mem_per_block_dynamic", "Dynamic Shared Memory Per Block"),
)
_OCCUPANCY = ("sm__warps_active.avg.pct_of_peak_sustained_active", "Achieved Occupancy")
_COMPUTE = ("sm__throughput.avg.pct_of_peak_sustained_elapsed", "Compute (SM) Throughput")
_MEMORY = ("gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed", "DRAM Throughput")

COLLECTED = (TIME, *_DRAM, *_FLOPS, LOADED, STORED, _REGISTERS[0], *(names[0] for names in _SHARED),
             _OCCUPANCY[0], _COMPUTE[0], _MEMORY[0])  # fmt: skip
"""The metrics that a profile is made from, as ncu takes them."""

_WANTED = {*COLLECTED, *_TIME, *_REGISTERS, *(name for names in _SHARED for name in names),
           *_OCCUPANCY, *_COMPUTE, *_MEMORY}  # fmt: skip


def read_ncu(path: str | Path) -> Profile:
    """The profile in an exported CSV file; DataError where it is damaged or has no times.

    Figures are sums over all launches in the file. `bytes` and `flops` are those counted, not the
    fewest possible; percentages are ncu's own, of the multiprocessors' and the memory's peaks.
    """
    launches = read_launches(path, _WANTED)
    for launch in launches:
        if _first(launch, _TIME) is None:
            raise DataError(
                f"{path} tells no time of {launch.kernel}: collect {TIME}, as gpucnn profile"
                " CONFIG --ncu shows"
            )
    total = sum(map(_ms, launches))
    kernels = _rows(launches, total, lambda a: ("", "", _method(a), a.kernel))
    layers = _rows(
        [launch for launch in launches if launch.ranges], total, lambda a: (*_layer(a)[::2], "", "")
    )
    capabilities = sorted({a.capability for a in launches if a.capability})
    return Profile(
        meta={
            "device": "cuda",
            "device_name": f"compute capability {', '.join(capabilities) or 'unknown'}",
            "read_from": str(path),
            "launches": len(launches),
            "steps": 1,
            "warmup": 0,
        },
        step_ms=(total,),
        plain_ms=(),
        busy_ms=total,
        gap_ms=0.0,
        data_wait_ms=0.0,
        accounted=1.0,
        layers=tuple(layers),
        methods=_longest(_rows(launches, total, lambda a: ("", "", _method(a), ""))),
        kernels=_longest(kernels),
        calls=(),
        gaps=(),
        waits=(),
        layer_names={_layer(a)[0]: _layer(a)[1] for a in launches if _layer(a)[0]},
        traffic=tuple(_traffic(launches)),
    )


def _first(launch: NcuLaunch, names: Sequence[str]) -> float | None:
    """A metric by the first of its names that the file has."""
    return next((launch.values[name] for name in names if name in launch.values), None)


def _ms(launch: NcuLaunch) -> float:
    return _first(launch, _TIME) or 0.0


def _layer(launch: NcuLaunch) -> tuple[str, str, str]:
    """(path, name, pass) of the innermost layer around a launch; "" outside of all."""
    found = [layer for name in launch.ranges if (layer := layer_of(name)) is not None]
    return found[-1] if found else ("", "", "")


def _method(launch: NcuLaunch) -> str:
    """By its range, else by the file of its kernel, else the kernel itself."""
    ranges = [name for name in launch.ranges if name in METHODS]
    return ranges[-1] if ranges else _files().get(launch.kernel, launch.kernel)


@cache
def _files() -> Mapping[str, str]:
    return {symbol: file for file in files() for symbol in symbols(file)}


Key = tuple[str, str, str, str]


def _rows(
    launches: Sequence[NcuLaunch], total: float, key: Callable[[NcuLaunch], Key]
) -> list[Row]:
    """A row for each layer and pass, method or kernel, in the order in which they first appear."""
    groups: dict[Key, list[NcuLaunch]] = {}
    for launch in launches:
        groups.setdefault(key(launch), []).append(launch)
    return [_row(k, group, total) for k, group in groups.items()]


def _row(key: Key, group: Sequence[NcuLaunch], total: float) -> Row:
    ms = sum(map(_ms, group))
    flops = _sum(group, lambda a: _weighted(a, _FLOPS))
    moved = _sum(group, lambda a: _weighted(a, dict.fromkeys(_DRAM, 1)))
    row = Row(
        *key,
        variant="",
        calls=len(group),
        ms=ms,
        low_ms=ms,
        high_ms=ms,
        share=ms / total if total else 0.0,
        flops=flops,
        bytes=moved,
        tflops=flops / ms / 1e9 if flops is not None and ms else None,
        gb_s=moved / ms / 1e6 if moved is not None and ms else None,
        intensity=flops / moved if flops is not None and moved else None,
        compute_percent=_mean(group, _COMPUTE),
        memory_percent=_mean(group, _MEMORY),
    )
    row = replace(row, limit=_limit(row))
    if not row.kernel:
        return row
    registers, occupancy = _first(group[0], _REGISTERS), _mean(group, _OCCUPANCY)
    shared = [_first(group[0], names) for names in _SHARED]
    return replace(
        row,
        registers=None if registers is None else round(registers),
        shared_bytes=None if None in shared else round(sum(s for s in shared if s is not None)),
        occupancy=None if occupancy is None else occupancy / 100,
        block=group[0].block,
    )


def _limit(row: Row) -> str:
    """By ncu's percentages."""
    if row.ms / row.calls < LAUNCH_MS:
        return "launch"
    if row.compute_percent is None or row.memory_percent is None:
        return ""
    return "compute" if row.compute_percent >= row.memory_percent else "memory"


def _weighted(launch: NcuLaunch, weights: Mapping[str, int]) -> float | None:
    """A weighted sum of metrics; None where one of them was not collected."""
    if not all(name in launch.values for name in weights):
        return None
    return sum(weight * launch.values[name] for name, weight in weights.items())


def _sum(group: Sequence[NcuLaunch], value: Callable[[NcuLaunch], float | None]) -> float | None:
    found = [value(launch) for launch in group]
    known = [x for x in found if x is not None]
    return sum(known) if len(known) == len(found) else None


def _mean(group: Sequence[NcuLaunch], names: Sequence[str]) -> float | None:
    """Over the launches, by their times."""
    ms = sum(map(_ms, group))
    total = _sum(group, lambda a: None if (x := _first(a, names)) is None else x * _ms(a))
    return total / ms if total is not None and ms else None


def _traffic(launches: Sequence[NcuLaunch]) -> list[Traffic]:
    groups: dict[str, list[NcuLaunch]] = {}
    for launch in launches:
        groups.setdefault(launch.kernel, []).append(launch)
    rows = []
    for kernel, group in groups.items():
        loaded = _sum(group, lambda a: a.values.get(LOADED))
        stored = _sum(group, lambda a: a.values.get(STORED))
        if loaded is not None and stored is not None:
            in_bytes = round(SECTOR * loaded), round(SECTOR * stored)
            rows.append(Traffic(kernel, len(group), *in_bytes))
    return sorted(rows, key=lambda row: -(row.loaded + row.stored))


def _longest(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: -row.ms))
