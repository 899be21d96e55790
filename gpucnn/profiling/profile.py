"""A profile: what its tables, pictures and files are made from."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from gpucnn.errors import DataError

FORMAT = 1
"""Of profile.json; a reader refuses any other."""


@dataclass(frozen=True)
class Ceilings:
    """What the device reached at its best: the rates to compare with."""

    copy_gb_s: float
    """A copy from the device's memory to the device's memory, bytes read and written."""
    gemm_tflops: float
    """A large matrix product in float32."""
    device: str
    source: str
    """Where the figures come from: "measured <date>, kept in <file>", or a data sheet."""


@dataclass(frozen=True)
class Row:
    """One line of a table: a layer's pass, a method, a kernel. Figures are those of one step.

    Times are the median and the quartiles over the steps. `flops` and `bytes` are what the method
    has to do at least (gpucnn/profiling/work.py); None for a kernel that does a part of a method.
    """

    layer: str
    phase: str
    method: str
    kernel: str
    variant: str
    """The kernel's type and macros."""
    calls: float
    ms: float
    low_ms: float
    high_ms: float
    share: float
    """Of the step."""
    gap_ms: float = 0.0
    """A layer's: when nothing was computed, and the host was in it."""
    flops: float | None = None
    bytes: float | None = None
    tflops: float | None = None
    gb_s: float | None = None
    intensity: float | None = None
    """FLOPs a byte."""
    compute_percent: float | None = None
    memory_percent: float | None = None
    limit: str = ""
    """compute, memory, launch or host; empty where nothing is known."""
    registers: int | None = None
    shared_bytes: int | None = None
    occupancy: float | None = None
    block: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Gap:
    """Time in which nothing was computed: where the host was then."""

    layer: str
    phase: str
    where: str
    """A method's name, "between methods", "data wait", "outside of the layers"."""
    ms: float
    share: float


@dataclass(frozen=True)
class Wait:
    """A place where the host waited until the device had done all that was asked of it."""

    layer: str
    phase: str
    where: str
    """The method's name, or "between methods"."""
    ms: float
    """The median wait in a step."""
    steps: int
    """In how many of the steps."""

    @property
    def hidden(self) -> bool:
        """Inside a layer, where nothing needs the host to know a result."""
        return bool(self.layer)


@dataclass(frozen=True)
class LayerMemory:
    """Bytes held at most while a layer's pass ran, and how many it left behind."""

    layer: str
    phase: str
    peak_bytes: int
    kept_bytes: int


@dataclass(frozen=True)
class Profile:
    """Some training steps of one config on one device."""

    meta: Mapping[str, Any]
    """config, device, device_name, versions, batch_size, warmup, steps and more, as JSON values."""
    step_ms: tuple[float, ...]
    plain_ms: tuple[float, ...]
    """Steps that were not observed, for comparison; empty where none were timed."""
    busy_ms: float
    """The sum of all methods and kernels of a step."""
    gap_ms: float
    """The rest of the step, the data wait among it."""
    data_wait_ms: float
    accounted: float
    """busy over (step - gaps): 1 where no two kernels ran at a time."""
    layers: tuple[Row, ...]
    methods: tuple[Row, ...]
    kernels: tuple[Row, ...]
    """On `cpu`, where methods launch none, empty."""
    calls: tuple[Row, ...]
    """The finest: each method of each layer's pass."""
    gaps: tuple[Gap, ...]
    waits: tuple[Wait, ...]
    memory: tuple[LayerMemory, ...] = ()
    ceilings: Ceilings | None = None
    layer_names: Mapping[str, str] = field(default_factory=dict)
    """path -> the layer's name."""
    gap_kinds: Mapping[str, float] = field(default_factory=dict)
    """What the host was doing in the gaps -> their milliseconds; each a median by itself."""
    predicted: bool = False
    """Whether the times are a model's, not a clock's."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, values: Any) -> "Profile":
        """`to_json`'s inverse; DataError for anything else."""
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise DataError(
                f"this is no profile.json of format {FORMAT}: write it anew with gpucnn profile"
            )
        given = {key: value for key, value in values.items() if key != "format"}
        try:
            for key, kind in _LISTS.items():
                given[key] = tuple(_record(kind, item) for item in given[key])
            for key in ("step_ms", "plain_ms"):
                given[key] = tuple(given[key])
            if given["ceilings"] is not None:
                given["ceilings"] = _record(Ceilings, given["ceilings"])
            return _record(cls, given)
        except (TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"this profile.json is damaged ({error}): write it anew with gpucnn profile"
            ) from error


_LISTS: dict[str, type] = {
    "layers": Row,
    "methods": Row,
    "kernels": Row,
    "calls": Row,
    "gaps": Gap,
    "waits": Wait,
    "memory": LayerMemory,
}

T = TypeVar("T")


def _record(kind: type[T], values: dict[str, Any]) -> T:
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if set(values) != known:
        raise KeyError(", ".join(sorted(set(values) ^ known)))
    # JSON knows no tuples.
    return kind(**{k: tuple(v) if k == "block" and v else v for k, v in values.items()})
