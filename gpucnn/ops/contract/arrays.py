"""Arrays of a device, and the checks that every method shares."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import combinations
from math import isfinite
from typing import Any

from gpucnn.errors import ConfigError, DeviceError, ShapeError
from gpucnn.ops.shapes import check_elements
from gpucnn.runtime.arena import Arena
from gpucnn.runtime.memory import Memory, address

Array = Any
"""The device's own array: numpy.ndarray on `cpu` and `emulator`, cupy.ndarray on `cuda`."""

FLOAT_DTYPES = ("float32", "float64")


def choice(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """ConfigError where `value` is not one of `allowed`."""
    if value not in allowed:
        names = ", ".join(repr(option) for option in allowed)
        raise ConfigError(f"{name} must be one of {names}, got {value!r}")


def number(
    name: str, value: Any, low: float, high: float = float("inf"), *, open_high: bool = False
) -> float:
    """`value` as a float in [low, high] (in [low, high) with `open_high`); else ConfigError."""
    try:
        if isinstance(value, (bool, str)):
            raise TypeError
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{name} must be a number, got {value!r}") from None
    if not (isfinite(result) and (low <= result < high if open_high else low <= result <= high)):
        bounds = [f">= {low:g}"] if isfinite(low) else []
        bounds += [f"{'<' if open_high else '<='} {high:g}" if isfinite(high) else "finite"]
        raise ConfigError(f"{name} must be {' and '.join(bounds)}, got {value!r}")
    return result


class ArrayOps(ABC):
    """Creation, transfer and checking of arrays."""

    name: str
    """The device as the config writes it: "cpu", "cuda:1", "emulator"."""
    dlpack_device: tuple[int, int] = (1, 0)
    """What DLPack calls it: (1, 0) the host, (2, index) a CUDA device."""
    memory: Memory
    """What an arena of this device takes its blocks from."""
    arena: Arena | None = None
    """Inside a step of an arena, where new arrays come from."""

    @abstractmethod
    def asarray(self, a: Any, dtype: Any = None) -> Array:
        """`a` (array, list or number) as a C-contiguous array of this device; may share memory."""

    @abstractmethod
    def to_numpy(self, a: Array) -> Any:
        """`a` as a NumPy array on the host; waits for the device."""

    def empty(self, shape: Sequence[int], dtype: Any) -> Array:
        """An uninitialised C-contiguous array."""
        return (self._empty if self.arena is None else self.arena.empty)(tuple(shape), dtype)

    def zeros(self, shape: Sequence[int], dtype: Any) -> Array:
        """A C-contiguous array of zeros."""
        if self.arena is None:
            return self._zeros(tuple(shape), dtype)
        a = self.arena.empty(tuple(shape), dtype)
        self.memory.clear(a)
        return a

    @abstractmethod
    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Array: ...

    @abstractmethod
    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> Array: ...

    @abstractmethod
    def synchronize(self) -> None:
        """Wait until the device has done all that was asked of it."""

    @abstractmethod
    def is_array(self, a: Any) -> bool:
        """Whether `a` is an array of this device."""

    def from_dlpack(self, a: Any) -> Any:
        """A view of another library's array that lies on this device already, by DLPack.

        Anything else comes back as it is. DeviceError for an array that its library does not
        hand out or whose dtype this one does not have.
        """
        device = getattr(a, "__dlpack_device__", None)
        if self.is_array(a) or device is None or tuple(device()) != self.dlpack_device:
            return a
        try:
            return self._from_dlpack(a)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise DeviceError(
                f"cannot view a {type(a).__name__} as an array of device {self.name!r}: {error}"
            ) from error

    @abstractmethod
    def _from_dlpack(self, a: Any) -> Array: ...

    def not_an_array(self, name: str, a: Any) -> DeviceError:
        """The error for an argument that is not this device's array."""
        gpu = getattr(getattr(a, "device", None), "id", None)
        where = "" if gpu is None else f" of cuda:{gpu}"
        return DeviceError(
            f"{name} must be an array of device {self.name!r}, got {type(a).__name__}{where}:"
            f" convert it with ops.asarray({name})"
        )

    def _check(
        self,
        name: str,
        a: Any,
        *,
        ndim: int | None = None,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        dtypes: Sequence[str] = FLOAT_DTYPES,
        large: bool = False,
    ) -> None:
        """Check type, dtype, layout (DeviceError), rank, shape and size (ShapeError) of `a`.

        `large` allows more elements than int32 can index.
        """
        if not self.is_array(a):
            raise self.not_an_array(name, a)
        allowed = (str(dtype),) if dtype is not None else dtypes
        if a.dtype.name not in allowed or not a.dtype.isnative:
            raise DeviceError(
                f"{name} must be {' or '.join(allowed)} in native byte order, got"
                f" {a.dtype.str} ({a.dtype.name}): convert it with ops.asarray({name},"
                f" {allowed[0]!r})"
            )
        if ndim is not None and a.ndim != ndim:
            raise ShapeError(f"{name} must have {ndim} dimensions, got shape {a.shape}")
        if shape is not None and a.shape != tuple(shape):
            raise ShapeError(f"{name} must have shape {tuple(shape)}, got {a.shape}")
        if not a.flags.c_contiguous:
            raise DeviceError(
                f"{name} of shape {a.shape} must be C-contiguous, got strides {a.strides}:"
                f" copy it with ops.asarray({name})"
            )
        if large:
            return
        check_elements(name, a.shape)

    def _check_apart(self, written: Mapping[str, Array], read: Mapping[str, Array]) -> None:
        """DeviceError where an array that will be written shares memory with another argument.

        A GPU may keep what it read before the other was written, or not.
        """
        if not self.memory.apart:
            return
        places = {
            name: (address(a), address(a) + a.nbytes)
            for name, a in {**written, **read}.items()
            if a.nbytes
        }
        for one, other in combinations(places, 2):
            (begin, end), (low, high) = places[one], places[other]
            if begin < high and low < end and one in written:
                raise DeviceError(f"{one} and {other} share memory, but {one} is written: copy one")
