"""Random numbers that depend on what they are for, and on nothing else.

Every random value of the program comes from a counter-based generator (Philox, Salmon et al. 2011) whose key is a
hash of the purpose: the seed, the image's id, the repeat. So results do not depend on batch size, device, the order
of work, or which other images are in the run, and all explainers meet the same noise (common random numbers).

Only raw 64-bit words are taken from numpy, since numpy fixes those for ever, but not what its distributions make of
them (NEP 19).
"""

import hashlib
import json

import numpy as np
from numpy.typing import NDArray


class Stream:
    """An endless stream of random values for one purpose, under the run's seed.

    The key says what the values are for, in strings and integers, for instance ``"noise", image_id, repeat``.

    Examples
    --------
    >>> a, b = Stream(0, "noise", "cat.png", 3), Stream(0, "noise", "cat.png", 3)
    >>> bool((a.uniform((2, 4)) == b.uniform((2, 4))).all())
    True
    """

    def __init__(self, seed: int, *key: str | int) -> None:
        digest = hashlib.blake2b(json.dumps([int(seed), *key]).encode(), digest_size=16).digest()
        self._bits = np.random.Philox(key=int.from_bytes(digest, "little"))

    def uniform(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Values from the uniform distribution on [0, 1), multiples of 2⁻²⁴, float32."""
        count = int(np.prod(shape))
        words = self._bits.random_raw((count + 1) // 2).astype("<u8", copy=False).view("<u4")
        return ((words[:count] >> 8).astype(np.float32) * np.float32(2**-24)).reshape(shape)

    def permutation(self, count: int) -> NDArray[np.int64]:
        """A random order of 0 … count − 1, each order equally likely, int64."""
        return np.argsort(self._bits.random_raw(count), kind="stable")
