"""What is done to a batch in the thread that prepares it."""

import threading
from typing import Any

import numpy as np
import pytest

from gpucnn.data import Batch, RandomShift
from tests.data.test_loader import N, loader, same


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("start", [0, 3])
def test_finished_batches_are_those_of_the_epoch(prefetch: int, start: int) -> None:
    make = loader(augment=[RandomShift(2)], prefetch=prefetch)
    finished = list(make.finished(lambda batch: ("done", batch), 4, start))
    assert {word for word, _ in finished} == {"done"}
    assert same([batch for _, batch in finished], list(make.epoch(4, start)))


def test_they_are_finished_ahead_in_the_thread() -> None:
    threads = []

    def finish(batch: Batch) -> Any:
        threads.append(threading.current_thread().name)
        return batch.indices

    indices = np.concatenate(list(loader(prefetch=2).finished(finish, 0)))
    assert sorted(indices) == list(range(N))
    assert set(threads) == {"gpucnn-loader"}


def test_an_error_in_finishing_reaches_the_consumer() -> None:
    error = KeyError("planted")

    def finish(batch: Batch) -> Any:
        raise error

    with pytest.raises(KeyError) as caught:
        next(loader().finished(finish, 0))
    assert caught.value is error


@pytest.mark.parametrize("batch_size", [5, N, N + 1, "all"])
def test_the_bytes_of_a_whole_batch(batch_size: object) -> None:
    make = loader(batch_size=batch_size)
    assert make.batch_bytes == max(batch.images.nbytes for batch in make.epoch(0))
