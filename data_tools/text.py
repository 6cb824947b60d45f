"""Tables as text."""

ORDER = ("normal", "pneumonia", "covid-19")


def class_order(labels):
    """Sorts classes: those of the paper, then the others by alphabet, then unknown."""
    rank = {label: position for position, label in enumerate(ORDER)}
    return sorted(set(labels), key=lambda c: (c == "", rank.get(c, len(rank)), c))


def table(rows):
    """Aligns rows of cells; columns with numbers to the right.

    Args:
        rows: List of lists of strings and integers, all of the same length.

    Returns:
        Text of as many lines, each of which begins with two blanks.
    """
    columns = list(zip(*rows, strict=True))
    texts = [[f"{c:,}" if isinstance(c, int) else c for c in col] for col in columns]
    aligned = []
    for column, cells in zip(columns, texts, strict=True):
        width = max(map(len, cells))
        number = any(isinstance(cell, int) for cell in column)
        aligned.append([c.rjust(width) if number else c.ljust(width) for c in cells])
    lines = zip(*aligned, strict=True)
    return "\n".join(("  " + "  ".join(line)).rstrip() for line in lines)


def by_class(counts):
    """Writes `{place: {class: n}}` as a table with sums.

    Example:
    >>> print(by_class({"train": {"normal": 7}, "test": {"normal": 3}}))
             normal  sum
      train       7    7
      test        3    3
      sum        10   10
    """
    labels = class_order(label for of_class in counts.values() for label in of_class)
    total = {label: sum(c.get(label, 0) for c in counts.values()) for label in labels}
    rows = [["", *(label or "unknown" for label in labels), "sum"]]
    for place, of_class in [*counts.items(), ("sum", total)]:
        numbers = [of_class.get(label, 0) for label in labels]
        rows.append([place or "-", *numbers, sum(numbers)])
    return table(rows)
