"""Random draws as functions of what they are for, not of a stream.

Every draw derives from (seed, purpose, indices): no generator state exists to be saved or lost, so
a resumed run draws what the unbroken one would have drawn.
"""

from zlib import crc32

import numpy as np

from gpucnn.errors import ConfigError


def check_seed(seed: int) -> int:
    """Return `seed` as an int in [0, 2**64); ConfigError otherwise."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
        raise ConfigError(f"seed must be an integer from 0 to 2**64 - 1, got {seed!r}")
    return int(seed)


def _sequence(seed: int, purpose: str, indices: tuple[int, ...]) -> np.random.SeedSequence:
    # Two words a number and the count of numbers: no two places share their words, as they would
    # by NumPy's own cutting into words (a seed over 32 bits) and filling up with zeros.
    numbers = (check_seed(seed), *indices)
    words = [word for number in numbers for word in (number & 0xFFFFFFFF, number >> 32)]
    return np.random.SeedSequence([crc32(purpose.encode()), len(indices), *words])


def generator(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    """A fresh NumPy generator for one purpose, e.g. `generator(seed, "shuffle", epoch)`."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, purpose, indices)))


def derive(seed: int, purpose: str, *indices: int) -> int:
    """A 64-bit seed for a part of the whole, e.g. `derive(seed, "layer", 3)`."""
    return int(_sequence(seed, purpose, indices).generate_state(1, np.uint64)[0])
