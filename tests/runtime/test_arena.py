"""The planned arena: one block, the same places each step, and never two arrays on one place."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpucnn.errors import GpucnnError, KernelError
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.runtime.arena import PLANS, Arena, Plan
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.memory import ALIGNMENT, CudaMemory, HostMemory


class Counted(HostMemory):
    """Host memory that counts its blocks."""

    def __init__(self) -> None:
        self.blocks: list[int] = []

    def block(self, size: int) -> Any:
        self.blocks.append(size)
        return super().block(size)


@pytest.fixture
def arena() -> Arena:
    return Arena(SimpleNamespace(memory=Counted(), arena=None))


def blocks(arena: Arena) -> list[int]:
    return arena._memory.blocks


def address(a: np.ndarray) -> int:
    return a.ctypes.data


def chain(arena: Arena, length: int = 6, size: int = 1000) -> list[int]:
    """Each array is made from the one before and is let go with the next: two live at a time."""
    places = []
    with arena.step():
        a = arena.empty((size,), "uint8")
        for i in range(length):
            a.fill(i)
            b = arena.empty((size,), "uint8")
            b[...] = a
            assert (b == i).all()
            places.append(address(b))
            a = b
    return places


def test_later_steps_take_the_same_places_without_an_allocation(arena: Arena) -> None:
    chain(arena)
    assert not arena.stable
    allocated, version = len(blocks(arena)), arena.version
    first = chain(arena)
    assert arena.stable
    for _ in range(3):
        assert chain(arena) == first
        assert arena.stable
    assert len(blocks(arena)) == allocated
    assert arena.version == version


def test_memory_is_used_again_as_soon_as_it_is_free(arena: Arena) -> None:
    """Seven arrays of which two live at a time: two places."""
    chain(arena)
    assert arena.size == 2 * 1024
    assert len(set(chain(arena))) == 2


def test_places_are_aligned(arena: Arena) -> None:
    for _ in range(2):
        with arena.step():
            held = [arena.empty((n,), "float32") for n in (1, 3, 65, 7)]
            assert arena._plan is None or not any(address(a) % ALIGNMENT for a in held)
            del held


@pytest.mark.parametrize("view", ["itself", "slice", "reshaped", "view of a view"])
def test_an_array_of_an_earlier_step_is_never_overwritten(arena: Arena, view: str) -> None:
    views = {
        "itself": lambda a: a,
        "slice": lambda a: a[2:],
        "reshaped": lambda a: a.reshape(10, 100),
        "view of a view": lambda a: a[100:].view("int32")[3:].reshape(-1).T,
    }
    kept: list[tuple[Any, int]] = []
    for i in range(5):
        with arena.step():
            a = arena.empty((1000,), "uint8")
            a.fill(i)
            kept.append((views[view](a), i))
            del a
            arena.empty((3000,), "uint8").fill(99)
    for a, i in kept:
        assert (a.reshape(-1).view("uint8") == i).all(), f"step {i}"
    assert not arena.stable, "its place was taken, so the array had memory of its own"
    kept.clear()
    del a
    with arena.step():
        arena.empty((1000,), "uint8")
        arena.empty((3000,), "uint8")
    assert arena.stable, "what was held is free again, and the plan stands"


def test_a_lifetime_that_grows_is_planned_anew(arena: Arena) -> None:
    """The first step lets go early what later steps hold for longer."""

    def step(early: bool) -> None:
        with arena.step():
            a = arena.empty((500,), "uint8")
            a.fill(1)
            if early:
                del a
            arena.empty((500,), "uint8").fill(2)
            assert early or (a == 1).all()

    step(early=True)
    assert arena.size == 512
    step(early=False)
    assert not arena.stable
    step(early=False)
    assert arena.stable
    assert arena.size == 1024
    step(early=True)
    assert arena.stable, "a shorter life fits the plan"


def test_lifetimes_that_change_from_step_to_step_settle(arena: Arena) -> None:
    """One step holds the first array for longer, the next the second: the plan allows both."""

    def step(longer: int) -> None:
        with arena.step():
            held = [arena.empty((500,), "uint8"), arena.empty((700,), "uint8")]
            del held[1 - longer]
            arena.empty((600,), "uint8").fill(9)

    for i in range(3):
        step(i % 2)
    for i in range(4):
        step(i % 2)
        assert arena.stable


def test_other_sizes_are_another_plan(arena: Arena) -> None:
    """A short batch under the same key: right, and planned from then on; its own key is better."""
    chain(arena, size=1000)
    chain(arena, size=1000)
    version = arena.version
    chain(arena, size=300)
    assert not arena.stable
    assert arena.version > version
    chain(arena, size=300)
    assert arena.stable
    assert arena.size == 2048, "no second block: the first is large enough"


@pytest.mark.parametrize(("first", "second"), [(6, 4), (4, 6)])
def test_fewer_or_more_requests_are_another_plan(arena: Arena, first: int, second: int) -> None:
    chain(arena, first)
    chain(arena, first)
    chain(arena, second)
    assert not arena.stable
    chain(arena, second)
    assert arena.stable


def test_each_key_has_its_plan_in_one_block(arena: Arena) -> None:
    def step(key: str, size: int) -> int:
        with arena.step(key):
            return address(arena.empty((size,), "uint8"))

    for key, size in (("train", 4096), ("last", 100), ("train", 4096), ("last", 100)):
        step(key, size)
    assert arena.stable
    version = arena.version
    assert step("train", 4096) == step("last", 100)
    assert arena.stable
    assert arena.version == version
    for i in range(PLANS):
        step(f"other {i}", 10)
    assert arena.plan("train") is None, "the plan that was not used for the longest"
    assert arena.plan(f"other {PLANS - 1}") is not None


def test_a_step_without_a_plan_takes_what_is_free_of_the_block(arena: Arena) -> None:
    """The first evaluation after training needs no memory beside; what is held stays as it is."""
    chain(arena, size=5000)
    allocated = len(blocks(arena))
    with arena.step("training"):
        held = arena.empty((2000,), "uint8")
        held.fill(7)
    with arena.step("evaluation"):
        a, b = arena.empty((3000,), "uint8"), arena.empty((4000,), "uint8")
        for other in (a, b):
            other.fill(1)
        assert not np.shares_memory(a, b)
        assert (held == 7).all()
        del a
        c = arena.empty((3000,), "uint8")
        c.fill(2)
        assert (b == 1).all()
        assert (held == 7).all()
        assert len(blocks(arena)) == allocated, "all of them fit"
        more = arena.empty((9000,), "uint8")
        more.fill(3)
        assert len(blocks(arena)) == allocated + 1
        assert (c == 2).all()
    assert (more == 3).all()


def test_a_closed_arena_leaves_arrays_to_themselves(arena: Arena) -> None:
    chain(arena)
    chain(arena)
    version = arena.version
    arena.close()
    assert (arena.size, arena.stable) == (0, False)
    assert arena.version != version, "what was captured in the block is not launched again"
    with arena.step():
        assert arena._owner.arena is None


def test_an_exception_leaves_plan_and_owner_as_they_were(arena: Arena) -> None:
    chain(arena)
    places = chain(arena)

    def failing() -> None:
        with arena.step():
            arena.empty((1000,), "uint8")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert arena._owner.arena is None
    assert not arena.stable
    assert chain(arena) == places
    assert arena.stable


def test_a_step_in_a_step_is_an_error(arena: Arena) -> None:
    with arena.step(), pytest.raises(GpucnnError, match="under way"), arena.step():
        pass


def test_empty_and_0d_arrays(arena: Arena) -> None:
    for _ in range(3):
        with arena.step():
            none, number = arena.empty((0, 3), "float32"), arena.empty((), "float64")
            assert (none.shape, number.shape) == ((0, 3), ())
            number[...] = 1.5
            assert float(number) == 1.5
            del none, number
    assert arena.stable


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_no_two_arrays_that_live_at_a_time_overlap(data: st.DataObject) -> None:
    """Any sizes and lifetimes; the block is no smaller than what lives at the worst moment."""
    sizes = data.draw(st.lists(st.integers(0, 5000), max_size=30))
    n = len(sizes)
    ends = [data.draw(st.integers(i + 1, n)) for i in range(n)]
    plan = Plan(tuple(sizes), tuple(ends))
    spans = [(o, o + s) for o, s in zip(plan.offsets, sizes, strict=True)]
    for i in range(n):
        for j in range(i):
            if i < ends[j]:
                assert spans[i][1] <= spans[j][0] or spans[j][1] <= spans[i][0] or 0 in (
                    sizes[i], sizes[j]
                ), (i, j)  # fmt: skip
    padded = [-(-s // ALIGNMENT) * ALIGNMENT for s in sizes]
    worst = max((sum(padded[j] for j in range(i + 1) if i < ends[j]) for i in range(n)), default=0)
    assert worst <= plan.size <= sum(padded)


def test_cuda_memory_on_cupy_itself() -> None:
    """Addresses, and the token that every view keeps: this part of CuPy needs no GPU."""
    import weakref

    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: pip install cupy-cuda13x")
    block = SimpleNamespace(data=SimpleNamespace(ptr=4096))
    a, token = CudaMemory(cupy, None, 0).place(block, 256, (4, 5), "float32")
    assert (a.data.ptr, a.shape, a.dtype, a.flags.c_contiguous) == (4352, (4, 5), "float32", True)
    token = weakref.ref(token)
    view = a[1:].reshape(-1)[2:].view("int32")
    del a
    assert token() is not None
    assert token().block is block
    assert view.data.ptr == 4352 + 4 * 7
    del view
    assert token() is None


def test_checked_mode_sees_what_is_not_written_in_a_place_that_is_used_again() -> None:
    """What an earlier step left there is no excuse; and a kernel's own reach is still checked."""
    ops = KernelOps(EmulatorLauncher(checked=True))
    x, arena = ops.asarray(np.arange(-150, 150, dtype=np.float32)), Arena(ops)

    def step(write: bool) -> np.ndarray:
        with arena.step():
            a = ops.empty(x.shape, x.dtype)
            if write:
                a[...] = x
            return ops.to_numpy(ops.relu_forward(a)).copy()

    for _ in range(3):
        np.testing.assert_array_equal(step(write=True), np.maximum(x, 0))
    assert arena.stable
    with pytest.raises(KernelError, match="initcheck"):
        step(write=False)


@pytest.mark.parametrize("ops", [NumpyOps(), KernelOps(EmulatorLauncher())], ids=lambda o: o.name)
def test_operations_take_results_and_zeros_from_the_arena(ops: Any) -> None:
    x, arena = ops.asarray(np.full((2, 3, 4, 4), -2.5, np.float32)), Arena(ops)
    for _ in range(3):
        with arena.step():
            dirty = ops.empty((40,), "float32")
            dirty[...] = 5
            del dirty
            zeros, y = ops.zeros((40,), "float32"), ops.relu_forward(x)
            assert not ops.to_numpy(zeros).any()
            assert not ops.to_numpy(y).any()
            del zeros, y
    assert arena.stable
    assert ops.arena is None
