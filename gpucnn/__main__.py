"""`python -m gpucnn`: the same as the `gpucnn` command."""

import sys

from gpucnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
