"""Tests of staging on the emulated CuPy alone, whose streams can be late: see test_staging.py."""

import gc
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import cupy
import numpy as np
import pytest
from cupy import _streams as streams

import gpucnn
from gpucnn.errors import DeviceError, KernelError
from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.staging import Staging

SLOTS = 3
SHAPE = (4, 1, 3, 5)
BATCHES = [np.full(SHAPE, number, np.float32) for number in range(1, 11)]

LATE: dict[str, Callable[[Any], bool]] = {
    "none": lambda stream: False,
    "work": lambda stream: stream is cupy.cuda.Stream.null,
    "copies": lambda stream: stream is not cupy.cuda.Stream.null,
    "both": lambda stream: True,
}
Fault = Callable[[Staging, pytest.MonkeyPatch], None]


@pytest.fixture
def launcher() -> Iterator[CudaLauncher]:
    yield gpucnn.get_ops("cuda").launcher
    # What a test has left undone is not the next one's.
    streams.late = LATE["none"]
    cupy.cuda.Device().synchronize()


def staging(launcher: CudaLauncher) -> Staging:
    return Staging(launcher, slots=SLOTS, size=BATCHES[0].nbytes)


def arrived(ring: Staging, batches: list[np.ndarray]) -> list[np.ndarray]:
    """What work on each batch finds, with as many put ahead as there may be.

    The host waits for nothing but what the ring itself has it wait for, up to the end.
    """
    found, ahead = [], []
    for number in range(len(batches)):
        while len(ahead) < SLOTS - (number > 0) and number + len(ahead) < len(batches):
            mine = batches[number + len(ahead)].copy()
            ahead.append(ring.put(mine))
            mine[...] = -1
        with ring.taken(ahead.pop(0)) as array:
            found.append(cupy.zeros(array.shape, array.dtype))
            found[-1][...] = array
    cupy.cuda.Device().synchronize()
    return [a.get() for a in found]


def same(found: list[np.ndarray], batches: list[np.ndarray]) -> bool:
    return all(map(np.array_equal, found, batches)) and len(found) == len(batches)


@pytest.mark.parametrize("late", LATE)
def test_batches_arrive_as_they_are(launcher: CudaLauncher, late: str) -> None:
    streams.late = LATE[late]
    with closing(staging(launcher)) as ring:
        assert same(arrived(ring, BATCHES), BATCHES)


def now_and_then(seed: int) -> Callable[[Any], bool]:
    """Each stream late for a while, and then not."""
    rng, states = random.Random(seed), {True: True, False: False}

    def late(stream: Any) -> bool:
        work = stream is cupy.cuda.Stream.null
        states[work] ^= rng.random() < 0.04
        return states[work]

    return late


@pytest.mark.parametrize("seed", range(20))
def test_streams_that_are_late_now_and_then(launcher: CudaLauncher, seed: int) -> None:
    streams.late = now_and_then(seed)
    with closing(staging(launcher)) as ring:
        assert same(arrived(ring, BATCHES), BATCHES)


def test_batches_of_any_size_and_dtype_share_the_slots(launcher: CudaLauncher) -> None:
    batches = [BATCHES[0], BATCHES[1][:1], BATCHES[2].astype("float64")[:2], BATCHES[3]]
    with closing(staging(launcher)) as ring:
        found = arrived(ring, batches)
    assert same(found, batches)
    assert [a.dtype for a in found] == [a.dtype for a in batches]


def test_a_copy_runs_beside_the_work(launcher: CudaLauncher) -> None:
    """While the work on a batch is still to be done, the next one is on the device already."""
    with closing(staging(launcher)) as ring:
        streams.late = LATE["work"]
        with ring.taken(ring.put(BATCHES[0])) as array:
            result = cupy.zeros(SHAPE, "float32")
            result[...] = array
        after = ring.put(BATCHES[1])
        np.testing.assert_array_equal(
            result.host, np.frombuffer(b"\xff" * 240, "f4").reshape(SHAPE)
        )
        np.testing.assert_array_equal(after.array.host, BATCHES[1])


def test_one_more_than_there_are_slots_is_refused(launcher: CudaLauncher) -> None:
    with closing(staging(launcher)) as ring:
        for batch in BATCHES[:SLOTS]:
            ring.put(batch)
        with pytest.raises(IndexError):
            ring.put(BATCHES[SLOTS])


def fails(*_: object, **__: object) -> None:
    raise cupy.cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress")


def test_an_error_of_cuda_says_what_was_done(
    launcher: CudaLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (
        r"copying batches on cuda \(sm_90\): cudaErrorIllegalAddress; the cause may be an earlier"
    )
    with closing(staging(launcher)) as ring:
        put = ring.put(BATCHES[0])
        monkeypatch.setattr(cupy.cuda.Stream, "wait_event", fails)
        with pytest.raises(KernelError, match=words):
            ring.put(BATCHES[1])
        with pytest.raises(KernelError, match=words), ring.taken(put):
            pass


def test_too_little_memory_is_said(launcher: CudaLauncher, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(shape: Any, dtype: Any) -> None:
        raise cupy.cuda.memory.OutOfMemoryError

    monkeypatch.setattr(cupy, "empty", full)
    with pytest.raises(DeviceError, match=r"out of memory on cuda: .* lower data.batch_size"):
        staging(launcher)


def work_does_not_wait(ring: Staging, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(cupy.cuda.Stream.null, "wait_event", lambda event: None, raising=False)


def copies_do_not_wait(ring: Staging, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ring._copies, "wait_event", lambda event: None, raising=False)


def host_does_not_wait(ring: Staging, patch: pytest.MonkeyPatch) -> None:
    for slot in ring._free:
        patch.setattr(slot.copied, "synchronize", lambda: None, raising=False)


def copies_are_not_told(ring: Staging, patch: pytest.MonkeyPatch) -> None:
    """Of the work's end: their events stay those of the slots' beginning."""
    record = cupy.cuda.Stream.null.record
    reads = [slot.read for slot in ring._free]
    patch.setattr(
        cupy.cuda.Stream.null,
        "record",
        lambda event: event if event in reads else record(event),
        raising=False,
    )


@pytest.mark.parametrize(
    ("fault", "late"),
    [
        (work_does_not_wait, "copies"),
        (copies_do_not_wait, "work"),
        (copies_are_not_told, "work"),
        (host_does_not_wait, "copies"),
        (host_does_not_wait, "both"),
    ],
)
def test_every_wait_is_needed(
    launcher: CudaLauncher, monkeypatch: pytest.MonkeyPatch, fault: Fault, late: str
) -> None:
    """Without it, a batch is another than it should be; without any lateness nobody would see."""
    for lateness, right in (("none", True), (late, False)):
        streams.late = LATE[lateness]
        with closing(staging(launcher)) as ring, monkeypatch.context() as patch:
            fault(ring, patch)
            assert same(arrived(ring, BATCHES), BATCHES) == right


@pytest.mark.parametrize("told", [True, False])
def test_memory_of_the_pool_may_be_in_use(
    launcher: CudaLauncher, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """By work of the same stream, which the pool knows to be before all that comes."""
    streams.late = LATE["work"]
    old = cupy.empty((BATCHES[0].nbytes,), "uint8")
    monkeypatch.setattr(launcher.xp, "empty", lambda shape, dtype: old)
    old.fill(7)
    if not told:
        monkeypatch.setattr(cupy.cuda.Stream.null, "record", lambda event: event, raising=False)
    with closing(Staging(launcher, slots=1, size=old.nbytes)) as ring:
        monkeypatch.undo()
        with ring.taken(ring.put(BATCHES[0])) as array:
            np.testing.assert_array_equal(np.array_equal(array.get(), BATCHES[0]), told)


@pytest.mark.parametrize("waits", [True, False])
def test_memory_goes_back_when_all_copies_are_done(
    launcher: CudaLauncher, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """Where an epoch is left early, with a batch on its way that is dropped and never taken."""
    streams.late = LATE["copies"]
    ring = staging(launcher)
    if not waits:
        monkeypatch.setattr(ring._copies, "synchronize", lambda: None, raising=False)
    ring.put(BATCHES[0])
    ring.close()
    monkeypatch.undo()
    del ring
    gc.collect()
    if waits:
        cupy.cuda.Device().synchronize()
    else:
        with pytest.raises(AssertionError, match="given back before"):
            cupy.cuda.Device().synchronize()
