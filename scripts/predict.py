"""Classify image files with a trained network: the same as `gpucnn predict`."""

import sys

from gpucnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
