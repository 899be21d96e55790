"""One block of memory for all arrays of a step, planned from the first step of its kind.

The steps of a training ask for the same arrays in the same order. The first one's requests and
lifetimes are recorded and packed into one block, arrays that never live at a time on one place;
later steps get the i-th place at their i-th request, without an allocation. A step that asks for
other sizes, or for what somebody still holds an array of, gets other places, at worst memory of its
own: a plan never decides what is computed.
"""

import weakref
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Protocol

import numpy as np

from gpucnn.errors import GpucnnError
from gpucnn.runtime.memory import ALIGNMENT, Memory

PLANS = 8
"""Kinds of steps whose plans are kept: full and last batch, in training and in evaluation."""


class Owner(Protocol):
    """Whoever makes arrays: the operations of a device."""

    memory: Memory
    arena: "Arena | None"
    """Where new arrays come from inside a step."""


@dataclass(frozen=True)
class Plan:
    """Requests in their order: bytes, and how many had been made when the array was gone."""

    sizes: tuple[int, ...]
    ends: tuple[int, ...]

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each array lies, none on one that lives at the same time.

        The largest first, each at the lowest place that is free while it lives.
        """
        placed: list[tuple[int, int, int]] = []
        offsets = [0] * len(self.sizes)
        for i in sorted(range(len(self.sizes)), key=lambda i: (-self.sizes[i], i)):
            size, end = _aligned(self.sizes[i]), self.ends[i]
            low = 0
            for start, stop, other in placed:
                if start >= low + size:
                    break
                if other < end and i < self.ends[other]:
                    low = max(low, stop)
            offsets[i] = low
            placed.append((low, low + size, i))
            placed.sort()
        return tuple(offsets)

    @cached_property
    def size(self) -> int:
        """The bytes of the block."""
        ends = (offset + _aligned(n) for offset, n in zip(self.offsets, self.sizes, strict=True))
        return max(ends, default=0)

    @cached_property
    def expiring(self) -> tuple[tuple[int, ...], ...]:
        """For each request, the arrays that are gone by then and were not by the last."""
        expiring: list[list[int]] = [[] for _ in range(len(self.sizes) + 1)]
        for i, end in enumerate(self.ends):
            expiring[end].append(i)
        return tuple(map(tuple, expiring))

    def living_longer(self, other: "Plan") -> "Plan":
        """This plan with each lifetime the longer of the two plans'."""
        return Plan(self.sizes, tuple(map(max, self.ends, other.ends)))


class _Life(weakref.ref):  # type: ignore[type-arg]
    """An array of the arena, dead once nobody can reach it, and the bytes it has of a block."""

    __slots__ = ("begin", "block", "end", "index", "step")
    step: int
    index: int
    block: int | None
    begin: int
    end: int


class Arena:
    """The arrays that `owner` makes inside of `step`, in one planned block.

    Requests must come from one thread at a time, in an order that a step's `key` decides.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner, self._memory = owner, owner.memory
        self._plans: dict[Hashable, Plan] = {}
        self._block: Any = None
        self._blocks = self._steps = 0
        self._closed = False
        self._late: list[_Life] = []
        self._begin(None)
        self.size = 0
        """Bytes of the block."""
        self.version = 0
        """Changes whenever the addresses of some plan may."""
        self.stable = False
        """Whether the last step had all of its arrays from a plan. The next one with its key will
        have them at the same addresses, if `version` is the same."""

    def plan(self, key: Hashable) -> Plan | None:
        """The plan of the steps of this key, if there is one."""
        return self._plans.get(key)

    @property
    def requests(self) -> int:
        """How many arrays the step under way, or the last, has asked for."""
        return len(self._sizes)

    @contextmanager
    def step(self, key: Hashable = None) -> Iterator[None]:
        """Inside, the owner's new arrays come from the arena.

        Steps of one `key` are expected to make the same requests. Nothing is learnt from a step
        that ends by an exception.
        """
        if self._closed:
            yield
            return
        if self._owner.arena is not None:
            raise GpucnnError("a step of an arena is under way already: leave it first")
        plan = self._plans.pop(key, None)
        if plan is not None:
            self._plans[key] = plan  # the last used is the last to go
        self._begin(plan)
        self._owner.arena = self
        try:
            yield
        finally:
            self._owner.arena = None
        self._learn(key, plan)

    def close(self) -> None:
        """Give the block back: from now on every array has memory of its own, inside a step too.

        For whoever counts arrays one by one.
        """
        self._closed, self.stable = True, False
        self._plans.clear()
        self._block, self.size = None, 0
        self._blocks += 1
        self.version += 1
        self._memory.release()

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """An uninitialised array of the owner's device."""
        size = prod(shape) * np.dtype(dtype).itemsize
        index = len(self._sizes)
        begin = self._find(index, size)
        if begin is None:
            self._fits = False
            a, token = self._memory.place(self._memory.block(size), 0, shape, dtype)
        else:
            a, token = self._memory.place(self._block, begin, shape, dtype)
        life = _Life(token, self._died)
        life.index, life.step = index, self._steps
        life.begin, life.end = (0, 0) if begin is None else (begin, begin + size)
        life.block = None if begin is None else self._blocks
        self._sizes.append(size)
        self._ends.append(_ALIVE)
        self._lives.append(life)
        return a

    def _begin(self, plan: Plan | None) -> None:
        # Arrays of earlier steps that somebody holds.
        kept = [*self._late, *self._lives] if self._steps else []
        self._late = [life for life in kept if life() is not None and life.block == self._blocks]
        self._steps += 1
        self._plan, self._fits, self.stable = plan, plan is not None, False
        self._sizes: list[int] = []
        self._ends: list[int] = []
        self._lives: list[_Life] = []

    def _find(self, index: int, size: int) -> int | None:
        """Where the plan has this request; None where its place is taken.

        Without a plan, or where it expects another request, the first place in the block that is
        large enough and free by now, if there is one.
        """
        plan = self._plan
        if plan is None or index >= len(plan.sizes) or plan.sizes[index] != size:
            self._plan, self._fits = None, False
            return self._gap(size)
        for i in plan.expiring[index]:
            if self._lives[i]() is not None:
                self._late.append(self._lives[i])
        begin = plan.offsets[index]
        if self._late:
            self._late = [life for life in self._late if life() is not None]
            if any(life.begin < begin + size and begin < life.end for life in self._late):
                return None
        return begin

    def _gap(self, size: int) -> int | None:
        taken = [
            (life.begin, life.end)
            for life in (*self._late, *self._lives)
            if life.block == self._blocks and life() is not None
        ]
        low = 0
        for begin, end in sorted(taken):
            if begin >= low + size:
                break
            low = max(low, _aligned(end))
        return low if self._block is not None and low + size <= self.size else None

    def _died(self, life: "_Life") -> None:
        if life.step == self._steps:
            self._ends[life.index] = len(self._sizes)

    def _learn(self, key: Hashable, plan: Plan | None) -> None:
        """Keep the plan if it fitted; else plan anew from what this step did."""
        count = len(self._sizes)
        if plan is not None and self._fits and count == len(plan.sizes):
            self.stable = True
            return
        ends = (count if end == _ALIVE else end for end in self._ends)
        done = Plan(tuple(self._sizes), tuple(ends))
        if plan is not None and plan.sizes == done.sizes:
            done = done.living_longer(plan)
            if done == plan:
                return  # somebody holds an array of an earlier step: no plan helps
        self._plans[key] = done
        while len(self._plans) > PLANS:
            del self._plans[next(iter(self._plans))]
        self.version += 1
        if done.size > self.size:
            self._block = None  # first, so that the two are never there at a time
            self._memory.release()
            self._block, self.size = self._memory.block(done.size), done.size
            self._blocks += 1


_ALIVE = -1


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
