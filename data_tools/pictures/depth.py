"""From samples of any depth to 0-255.

A film has few levels and many pixels: levels are converted, pixels looked up.
"""

import numpy as np


def tabulate(stored):
    """Lists the levels of a picture.

    Args:
        stored: Array of real numbers of any type.

    Returns:
        `levels`, ascending, which may hold some that do not occur, and `index` in
        the shape of `stored`, such that `levels[index]` is `stored`.
    """
    if stored.dtype == np.uint8:
        return np.arange(256, dtype=np.uint8), stored
    if stored.dtype.itemsize > 2:
        levels, index = np.unique(stored, return_inverse=True)
        return levels, index.reshape(stored.shape)
    low, high = stored.min(), stored.max()
    levels = np.arange(int(low), int(high) + 1).astype(stored.dtype)
    # The difference of signed numbers may overflow, and is right if read unsigned.
    return levels, (stored - low).view(f"u{stored.dtype.itemsize}")


def stretch(shown, index, ignored):
    """Scales levels so that the least in the picture becomes 0 and the most 255.

    Args:
        shown: What becomes of each level, real numbers `(levels,)`.
        index: Level of each pixel.
        ignored: bool `(levels,)`: levels that say nothing and become 0.

    Returns:
        uint8 `(levels,)`, rounded; all 0 if only one value occurs.
    """
    occurs = np.bincount(index.ravel(), minlength=len(shown)) > 0
    counted = shown[occurs & ~ignored].astype(np.float64)
    if not len(counted) or counted.min() == counted.max():
        return np.zeros(len(shown), np.uint8)
    low, high = counted.min(), counted.max()
    kept = np.where(ignored, low, shown)
    scaled = (np.clip(kept, low, high) - low) * (255 / (high - low))
    return np.rint(scaled).astype(np.uint8)


def scale(stored):
    """Scales samples of too many levels to list, as `stretch` does, row by row.

    Args:
        stored: Array `(height, width)` of 32-bit numbers; what is not finite becomes 0.

    Returns:
        uint8 `(height, width)`.
    """
    counted = np.isfinite(stored)
    grey = np.zeros(stored.shape, np.uint8)
    if not counted.any():
        return grey
    low, high = (float(end(stored[counted])) for end in (np.min, np.max))
    if low == high:
        return grey
    for row, out, valid in zip(stored, grey, counted, strict=True):
        out[:] = np.rint((np.where(valid, row, low) - low) * (255 / (high - low)))
    return grey
