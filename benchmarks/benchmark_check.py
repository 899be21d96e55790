"""What it takes to check the rows of `gpucnn benchmark` on the cpu, for docs/benchmarking.md.

    .venv/bin/python benchmarks/benchmark_check.py            # print
    .venv/bin/python benchmarks/benchmark_check.py --record   # and write benchmarks/results/

Every row of the default table, with the 8 images that `cpu` has unless told otherwise: the loops
of gpucnn.reference alone, then the whole check, without PyTorch. Seconds of the process, on
all of its threads: other work on the machine hardly counts.
"""

import argparse
import time
from typing import cast

from machine import record

import gpucnn
from gpucnn.config import load_shapes
from gpucnn.config.shapes import default_shapes
from gpucnn.ops.base import Ops
from gpucnn.profiling.benchmark.cases import results
from gpucnn.profiling.benchmark.check import check
from gpucnn.profiling.benchmark.reference import Reference
from gpucnn.profiling.benchmark.run import Settings, chosen

IMAGES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="into benchmarks/results/")
    args = parser.parse_args()
    planned = chosen(load_shapes(default_shapes()), Settings(images=IMAGES))
    loops, whole = [], []
    cpu = gpucnn.get_ops("cpu")
    for case, few, tiny in planned:
        start = time.process_time()
        if tiny is not None and hasattr(Reference, case.method):
            results(tiny, cast(Ops, Reference()), "float64")
            loops.append(time.process_time() - start)
            start = time.process_time()
        check(few, cpu, cpu, tiny=tiny)
        whole.append(time.process_time() - start)
    found = {
        "rows": len(whole),
        "rows_of_reference": len(loops),
        "reference_s": sum(loops),
        "slowest_reference_s": max(loops),
        "whole_s": sum(whole),
    }
    print(", ".join(f"{name} {value:.3g}" for name, value in found.items()))
    if args.record:
        print(record("benchmark_check", found, None))


if __name__ == "__main__":
    main()
