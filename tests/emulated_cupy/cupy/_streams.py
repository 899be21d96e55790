"""Streams and events of the CuPy without a GPU.

Work of a stream is done in its order, and nothing else is certain. A stream that `late` picks does
its work only when somebody waits for it, and then no more than it must; every other one does each
piece as soon as the events allow. So work that no event holds back comes too late or too early for
somebody in one of the tests.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from gpucnn.runtime.memory import Recording


class CUDARuntimeError(RuntimeError):
    status = 1


class _Piece:
    """Of a stream's work; one that awaits another's piece does nothing else."""

    def __init__(
        self, stream: "Stream", do: Callable[[], None], awaited: "_Piece | None" = None
    ) -> None:
        self.stream, self.do, self.awaited, self.done = stream, do, awaited, False

    @property
    def waits(self) -> bool:
        return self.awaited is not None and not self.awaited.done


class Event:
    def __init__(
        self, block: bool = False, disable_timing: bool = False, interprocess: bool = False
    ) -> None:
        self.seconds: float | None = None
        self._timed = not disable_timing
        self._recorded: _Piece | None = None

    def record(self, stream: "Stream | None" = None) -> None:
        (stream or get_current_stream()).record(self)

    def synchronize(self) -> None:
        if self._recorded is not None:
            _finish(self._recorded)

    def _reached(self) -> None:
        if self._timed:
            self.seconds = time.perf_counter()


class Graph:
    """What was captured: work on the host's memory, by address."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def launch(self, stream: "Stream | None" = None) -> None:
        submit(self._recording.launch)


class Stream:
    null: "Stream"

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        assert null or non_blocking, "the default stream would wait for a blocking one"
        self._pieces: deque[_Piece] = deque()
        self._recording: Recording | None = None

    def __enter__(self) -> "Stream":
        _entered().append(self)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._recording is None, "the capture has not ended"
        _entered().pop()

    def begin_capture(self, mode: int | None = None) -> None:
        self._recording = Recording()

    def end_capture(self) -> Graph:
        recording, self._recording = self._recording, None
        assert recording is not None
        return Graph(recording)

    def record(self, event: Event) -> Event:
        event._recorded = self._add(event._reached)
        return event

    def wait_event(self, event: Event) -> None:
        if event._recorded is not None:
            self._add(lambda: None, event._recorded)

    def _not_captured(self) -> None:
        """As CUDA refuses to wait for a stream that is captured."""
        if self._recording is not None:
            raise CUDARuntimeError("cudaErrorStreamCaptureUnsupported")

    def synchronize(self) -> None:
        self._not_captured()
        with _lock:
            if self._pieces:
                _finish(self._pieces[-1])

    def _add(self, do: Callable[[], None], awaited: _Piece | None = None) -> _Piece:
        assert self._recording is None, "an event in a graph"
        piece = _Piece(self, do, awaited)
        with _lock:
            self._pieces.append(piece)
            _busy[id(self)] = self
            _progress()
        return piece

    def _step(self) -> None:
        """The next piece, whose turn it is."""
        piece = self._pieces.popleft()
        if not self._pieces:
            del _busy[id(self)]
        piece.done = True
        piece.do()


late: Callable[[Stream], bool] = lambda stream: False  # noqa: E731
"""Which streams put their work off; a test may set another."""

Stream.null = Stream(True)
_lock = threading.RLock()
_local = threading.local()
_busy: dict[int, Stream] = {}
"""Streams with work to do: a stream that nobody holds any more does its work all the same."""


def get_current_stream() -> Stream:
    """Of this thread."""
    return (_entered() or [Stream.null])[-1]


def submit(do: Callable[..., None], args: Sequence[Any] = (), stream: Stream | None = None) -> None:
    """`do(*args)` as work of a stream, else of the current one, or of the graph it captures."""
    stream = stream or get_current_stream()
    if stream._recording is not None:
        stream._recording.add(do, args)
    else:
        stream._add(lambda: do(*args))


def synchronize() -> None:
    """Wait for all streams."""
    get_current_stream().synchronize()
    for stream in list(_busy.values()):
        stream.synchronize()


def _entered() -> list[Stream]:
    if not hasattr(_local, "streams"):
        _local.streams = []
    streams: list[Stream] = _local.streams
    return streams


def _finish(last: _Piece) -> None:
    """Do the work of a stream up to this piece, and of others what it awaits."""
    with _lock:
        while not last.done:
            first = last.stream._pieces[0]
            if first.waits:
                _finish(first.awaited)
            else:
                last.stream._step()
        _progress()


def _progress() -> None:
    """Let every stream that is not late go as far as it can."""
    moved = True
    while moved:
        moved = False
        for stream in [stream for stream in _busy.values() if not late(stream)]:
            while stream._pieces and not stream._pieces[0].waits:
                stream._step()
                moved = True
