"""Benchmark every operation: the same as `gpucnn benchmark`."""

import sys

from gpucnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
