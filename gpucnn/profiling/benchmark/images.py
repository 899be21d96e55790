"""The cases of what makes and changes batches of images, over one array (N, C, H, W)."""

from collections.abc import Iterator
from functools import partial
from math import prod
from typing import Any

import numpy as np

from gpucnn.ops.base import Ops
from gpucnn.profiling.benchmark.cases import Call, Case

HOLE = 3
"""Sides of the squares that are cut out."""


def backwards(n: int) -> Any:
    """int32 (n,): every image of a set, from the last."""
    return np.arange(n, dtype=np.int32)[::-1].copy()


def pixels(sizes: tuple[int, ...]) -> Any:
    """A set of uint8 images; large ones repeat themselves, which is quicker to make."""
    some = np.arange(min(prod(sizes), 1_000_003)) * 7 % 256
    return np.resize(some.astype(np.uint8), sizes)


def offsets(n: int) -> Any:
    """int32 (n, 2): each from -2 to 2."""
    return np.stack([np.arange(n) % 5 - 2, np.arange(n) % 3 - 1], axis=1).astype(np.int32)


def chosen(n: int) -> Any:
    """uint8 (n,): every other image."""
    return (np.arange(n) % 2).astype(np.uint8)


def angles(n: int) -> Any:
    """float64 (n,): up to half a radian either way."""
    return np.linspace(-0.5, 0.5, n)


def deviations(c: int) -> Any:
    """float64 (c,): from 0.5 to 1."""
    return np.linspace(0.5, 1, c)


def image_cases(name: str, sizes: tuple[int, ...]) -> Iterator[Case]:
    """One of each method."""
    n, c = sizes[:2]
    moved = 4 * prod(sizes)

    def gathered(ops: Ops, draw: Any) -> Call:
        images, indices = ops.asarray(pixels(sizes)), ops.asarray(backwards(n))
        return partial(ops.gather_images, images, indices)

    def rows(ops: Ops, draw: Any) -> Call:
        return partial(ops.gather_rows, draw(*sizes), ops.asarray(backwards(n)))

    def changed(ops: Ops, draw: Any, method: str, drawn: Any, **options: Any) -> Call:
        return partial(getattr(ops, method), draw(*sizes), ops.asarray(drawn), **options)

    def normalised(ops: Ops, draw: Any) -> Call:
        x = draw(*sizes)
        deviation = ops.asarray(deviations(c), x.dtype.name)
        return partial(ops.normalize_images, x, draw(c), deviation)

    yield Case("gather_images", name, sizes, gathered, prod(sizes), 5 * prod(sizes))
    yield Case("gather_rows", name, sizes, rows, 0, 2 * moved)
    turns = np.stack([np.cos(angles(n)), np.sin(angles(n))], axis=1)
    changes: tuple[tuple[str, Any, dict[str, Any], int], ...] = (
        ("shift_images", offsets(n), {}, 0),
        ("flip_images", chosen(n), {}, 0),
        ("cut_out_images", offsets(n), {"size": HOLE}, 0),
        ("rotate_images", turns, {}, 7),
    )
    for method, drawn, options, flops in changes:
        run = partial(changed, method=method, drawn=drawn, **options)
        yield Case(method, name, sizes, run, flops * prod(sizes), 2 * moved)
    yield Case("normalize_images", name, sizes, normalised, 2 * prod(sizes), 2 * moved)
