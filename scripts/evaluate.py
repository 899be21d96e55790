"""Measure a trained network on its test set: the same as `gpucnn evaluate`."""

import sys

from gpucnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
