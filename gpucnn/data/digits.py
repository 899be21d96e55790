"""The handwritten digits that ship with gpucnn: 1,437 training and 360 test images of 1 x 8 x 8.

Pixels are uint8: the source's 0 to 16 as round(v * 255 / 16). Source and licence:
digits_LICENSE.txt; the file is made by scripts/make_digits.py.
"""

from pathlib import Path

from gpucnn.data.dataset import Splits
from gpucnn.data.npz import read_npz

PATH = Path(__file__).with_name("digits.npz")


def load() -> Splits:
    """The embedded digits."""
    return read_npz(PATH)
