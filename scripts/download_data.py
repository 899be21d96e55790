"""Fetch a data set, checksums verified: the same as `gpucnn download-data`."""

import sys

from gpucnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["download-data", *sys.argv[1:]]))
