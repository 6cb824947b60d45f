"""The ledger of a build: what became of every row that was read.

kept + dropped = read, for each source. A dropped row carries one of these reasons.
"""

from collections import Counter

from data_tools import manifest

REASONS = {
    "bad-row": "the row has another number of fields than the header",
    "no-label": "the finding is blank, unknown or inconclusive",
    "finding": "the finding belongs to no class of this recipe",
    "modality": "not a radiograph (CT)",
    "view": "not a view that the recipe takes (lateral, CT slice, unknown)",
    "body-part": "not a chest film (abdomen)",
    "not-used": "the source's class is not used by this recipe",
    "not-on-disk": "the file is not in the folder",
    "path-escape": "the file lies outside its source's folder",
    "number": "numbers of this database differ between versions: unresolvable",
    "no-source": "the list names a source whose folder was not given",
    "empty": "the file has no bytes",
    "not-a-picture": "the file is no picture of a known format",
    "truncated": "the picture ends early or is damaged",
    "too-large": "over 100 million pixels, 65,535 on a side or 100 scans of a JPEG",
    "too-small": "a side of fewer than 16 pixels",
    "several-frames": "an animation, a film loop or several pages",
    "color-dicom": "a DICOM file in color: a screen capture, not a film",
    "no-decoder": "the compression needs a decoder that is not installed",
    "unreadable": "the file cannot be read",
    "repeat": "an earlier row of the same table names the same picture",
    "duplicate": "the same picture as another row",
    "conflict": "the same picture as a row with another label",
}
COLUMNS = ("source", "line", "file", "finding", "label", "outcome", "reason", "detail")


def write(path, rows):
    """Writes `ledger.csv`, one line for every row read.

    Args:
        path: The file to write.
        rows: List of `sources.Row`.
    """
    lines = [COLUMNS]
    for row in rows:
        outcome = "dropped" if row.dropped else "kept"
        cells = (row.source, row.line, row.file, row.finding, row.label)
        lines.append((*cells, outcome, row.dropped, row.detail))
    manifest.write_csv(path, lines)


def count(rows):
    """Counts the rows of each source.

    Args:
        rows: List of `sources.Row`.

    Returns:
        Dict of source to `{"read": n, "kept": n, "dropped": {reason: n}}`.
    """
    result = {}
    for source in dict.fromkeys(row.source for row in rows):
        reasons = Counter(row.dropped for row in rows if row.source == source)
        kept = reasons.pop("", 0)
        result[source] = {
            "read": kept + sum(reasons.values()),
            "kept": kept,
            "dropped": {
                reason: reasons[reason] for reason in REASONS if reasons[reason]
            },
        }
    return result
