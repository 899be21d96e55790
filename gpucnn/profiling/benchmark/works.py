"""FLOPs and minimal bytes of a case's call, from the rules that profiles use."""

from typing import Any

from gpucnn.ops.base import Ops
from gpucnn.profiling.benchmark.cases import Case, drawer
from gpucnn.profiling.rules import Work
from gpucnn.profiling.sizes import shaped
from gpucnn.profiling.spans import Call
from gpucnn.profiling.work import work


class Listener:
    """Stands for `ops`, and hears the last call of one method: its arguments and result."""

    def __init__(self, ops: Ops, method: str) -> None:
        self._ops, self._method = ops, method
        self.heard: Call | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ops, name)
        if name != self._method:
            return method

        def listening(*args: Any, **options: Any) -> Any:
            result = method(*args, **options)
            named = {key: shaped(value) for key, value in options.items()}
            self.heard = Call(shaped(args), named, shaped(result))
            return result

        return listening


def work_of(case: Case, ops: Ops, draw: Any = None) -> Work:
    """Prepare and call it once, in float32."""
    listener: Any = Listener(ops, case.method)
    case.prepare(listener, draw or drawer(ops, "float32"))()
    assert listener.heard is not None, f"{case} never calls {case.method}"
    return work(case.method, listener.heard)
