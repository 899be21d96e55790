"""Train the network of a config: the same as `gpucnn train`."""

import sys

from gpucnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
