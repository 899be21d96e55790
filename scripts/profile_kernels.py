"""Profile the training steps of a config: the same as `gpucnn profile`."""

import sys

from gpucnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["profile", *sys.argv[1:]]))
