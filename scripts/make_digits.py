"""Make gpucnn/data/digits.npz from scikit-learn's copy of the UCI optical digits.

Needs scikit-learn (pip install scikit-learn); nobody else does: the file is in the repository.
Run from the repository root: python scripts/make_digits.py [OUTPUT]
"""

import sys

import numpy as np
from sklearn.datasets import load_digits

from gpucnn.data.dataset import Dataset, split_validation
from gpucnn.data.digits import PATH

TEST_IMAGES = 360


def main() -> None:
    source = load_digits()
    # 17 brightness levels 0 to 16; the rounding keeps them apart, so nothing is lost.
    pixels = np.rint(source.images * (255 / 16)).astype(np.uint8)[:, None]
    digits = Dataset(pixels, source.target.astype(np.int32), tuple("0123456789"))
    train, test = split_validation(digits, TEST_IMAGES / len(digits), seed=0)
    assert test is not None
    np.savez_compressed(
        sys.argv[1] if len(sys.argv) > 1 else PATH,
        x_train=train.images,
        y_train=train.labels.astype(np.uint8),
        x_test=test.images,
        y_test=test.labels.astype(np.uint8),
    )


if __name__ == "__main__":
    main()
