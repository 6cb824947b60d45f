"""Reads the notes in JSON that stand beside a manifest."""

import json
from pathlib import Path

from data_tools import manifest


def read(path, repair):
    """Reads a note.

    Args:
        path: The file.
        repair: What to do about a damaged one, for the error.

    Returns:
        Dict.

    Raises:
        OSError: If it is no regular file.
        ValueError: If it holds anything but an object of JSON.
    """
    manifest.check_file(path)
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected JSON. Received: {error}. {repair}"
        ) from None
    if not isinstance(found, dict):
        raise ValueError(
            f"{path}: expected an object of JSON. Received: {type(found).__name__}. "
            f"{repair}"
        )
    return found
