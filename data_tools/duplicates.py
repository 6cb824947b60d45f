"""Finds pictures that show the same film, resized, compressed or cropped a little.

Two pictures are near duplicates if their perceptual hashes differ in at most 8 of 64
bits and their 32×32 thumbnails correlate above 0.98. Of 12,568 pairs above 0.98 among
28,003 chest films, 12,298 are above 0.9995. The rest are mostly the same film with
another crop, contrast or remark; a few are the same patient again. With 4 bits the hash
finds the former but loses a quarter of the films that are turned by a degree. A crop by
2 of 64 pixels a side, a turn by 3° or a mirror image hides a drawn film altogether.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

BITS = 8  # in which the hashes of near duplicates may differ
NEAR = 0.98  # correlation that near duplicates exceed
SAME = 0.9995  # from here on: the same picture, resized or compressed anew
TILE = (64, 4096)  # compared at once: 2 MiB of differing bits, which a cache holds
CHUNK = 4096  # pairs of thumbnails compared at once


class Pair(NamedTuple):
    """Two pictures by their number, and the correlation of their thumbnails."""

    first: int
    second: int
    correlation: float


def find(hashes, thumbnails, progress=True):
    """Finds the pairs of near duplicates.

    Among pictures that agree in hash and thumbnail, each is paired with the first of
    them alone, and only that first with any other picture: a thousand copies are 999
    pairs, which connect all that belongs together. A thumbnail of one grey is like
    no other but its copies.

    Args:
        hashes: uint64 `(n,)`, see `pictures.phash`.
        thumbnails: uint8 `(n, 32, 32)`, see `pictures.thumbnail`.
        progress: Whether to show a bar.

    Returns:
        List of `Pair`, sorted, `first < second`.

    Example:
    >>> duplicates.find(pictures.phash(thumbnails), thumbnails)
    [Pair(first=3, second=17, correlation=0.9998)]
    """
    hashes = np.asarray(hashes, "uint64")
    thumbnails = np.asarray(thumbnails).reshape(len(hashes), 32 * 32)
    origin = first_copies(hashes, thumbnails)
    copies = np.flatnonzero(origin != np.arange(len(hashes)))
    pairs = [Pair(int(origin[i]), int(i), 1.0) for i in copies]
    several = np.flatnonzero(origin == np.arange(len(hashes)))
    for first, second in close(hashes[several], progress):
        for begin in range(0, len(first), CHUNK):
            part = slice(begin, begin + CHUNK)
            one, other = several[first[part]], several[second[part]]
            found = correlation(thumbnails[one], thumbnails[other])
            near = found > NEAR
            columns = (one[near], other[near], found[near])
            pairs += map(Pair._make, zip(*(c.tolist() for c in columns), strict=True))
    return sorted(pairs)


def suspects(hashes, progress=True):
    """Says which pictures may have a near duplicate, by their hashes alone.

    Args:
        hashes: uint64 `(n,)`.
        progress: Whether to show a bar.

    Returns:
        bool `(n,)`. `find` needs the thumbnails of these pictures only.
    """
    hashes = np.asarray(hashes, "uint64")
    distinct, number, counts = np.unique(
        hashes, return_inverse=True, return_counts=True
    )
    suspect = counts > 1
    for first, second in close(distinct, progress):
        suspect[first] = suspect[second] = True
    return suspect[number]


def first_copies(hashes, thumbnails):
    """Returns for each picture the number of the first that agrees with it."""
    seen = {}
    copies = (
        seen.setdefault((value, hashlib.sha256(thumbnail).digest()), number)
        for number, (value, thumbnail) in enumerate(
            zip(hashes.tolist(), np.ascontiguousarray(thumbnails), strict=True)
        )
    )
    return np.fromiter(copies, int, len(hashes))


def close(hashes, progress):
    """Yields, tile by tile, the pairs of hashes that differ in few bits.

    Yields:
        Two int arrays `(pairs,)`, every number in the first below its partner.
    """
    height, width = TILE
    count = len(hashes)
    with tqdm(
        total=count * (count - 1) // 2,
        unit="pair",
        unit_scale=True,
        desc="near duplicates",
        delay=1,
        disable=not progress,
    ) as bar:
        for top in range(0, count, height):
            rows = hashes[top : top + height, None]
            for left in range(top, count, width):
                bits = np.bitwise_count(rows ^ hashes[left : left + width])
                first, second = np.nonzero(bits <= BITS)
                first, second = first + top, second + left
                yield first[first < second], second[first < second]
            done = len(rows) * (count - top) - len(rows) * (len(rows) + 1) // 2
            bar.update(done)


def correlation(one, other):
    """Correlates pairs of thumbnails; a constant one gives 0.

    Args:
        one, other: uint8 `(pairs, 1024)`.

    Returns:
        float64 `(pairs,)`, Pearson's coefficient, from whole numbers.
    """
    size = one.shape[1]
    sums = [x.sum(1, dtype="int64") for x in (one, other)]
    norms = [
        np.sqrt(size * dot(x, x) - total**2)
        for x, total in zip((one, other), sums, strict=True)
    ]
    product = norms[0] * norms[1]
    covariance = size * dot(one, other) - sums[0] * sums[1]
    return np.minimum(covariance / np.where(product > 0, product, np.inf), 1.0)


def dot(one, other):
    """Returns the scalar product of each pair of rows."""
    return np.einsum("ij,ij->i", one, other, dtype="int64", casting="safe")
