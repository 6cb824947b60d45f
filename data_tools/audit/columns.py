"""How much the columns of a manifest say about the class, without any picture."""

from collections import Counter, defaultdict

import numpy as np

from data_tools.audit import page
from data_tools.audit.counts import age_band
from data_tools.audit.looks import formats

LOUD = 0.1  # share of the class that a column may explain without an alarm
NAMES = {
    "source": "source",
    "view": "view",
    "age": "age",
    "sex": "sex",
    "size": "size of the original",
    "mode": "mode of the original",
    "file type": "file type of the original",
}


def section(films):
    """Measures what each column says about the class."""
    result = page.Section(
        "columns",
        "What gives the class away without a look at the film",
        "Whatever here explains more than a tenth of the class can be learned in place "
        "of the disease: balance it across classes, or test within one value of it.",
    )
    rows = []
    for name, values in described(films).items():
        fact = explains(values, films.labels)
        if fact["values"] > 1 and fact["classes"] > 1:
            result.facts[name] = fact
            bits, share = fact["bits"], fact["explained"]
            guess, biggest = fact["accuracy"], fact["biggest"]
            rows.append([NAMES[name], fact["values"], f"{bits:.2f}", share])
            rows[-1] += [guess, biggest]
    if not rows:
        text = "No column has two values, or there is only one class."
        result.parts.append(page.paragraph(text))
        return result
    loud = [
        f"{NAMES[name]} ({page.percent(fact['explained'])})"
        for name, fact in result.facts.items()
        if fact["explained"] > LOUD and name != "source"  # It has its own section.
    ]
    if loud:
        result.alarms.append(
            "The class can be guessed without a look at the film (share of it that is "
            f"explained): {', '.join(loud)}."
        )
    header = ["column", "values", "bits", "of the class", "guessed right"]
    result.parts.append(page.table([*header, "biggest class"], rows))
    return result


def described(films):
    """Returns the columns to measure: dict of name to a text for each row."""
    columns = {name: films.column(name) for name in ("source", "view", "age", "sex")}
    columns["age"] = [age_band(age) for age in columns["age"]]
    return columns | formats(films)


def explains(values, labels):
    """Measures how much a column says about the class, among rows with both.

    The bits are the mutual information less its bias, `(values − 1)(classes − 1) /
    (2 n ln 2)`. A guess is the most frequent class among the *other* rows of the same
    value, so that values of one row alone gain nothing.

    Args:
        values, labels: Lists of texts; `""` is not known.

    Returns:
        Dict: `rows`, `values` and `classes`, their numbers; `bits`; `explained`, the
        bits as a share of the class's entropy; `accuracy` of the guess; `biggest`,
        the share of the biggest class.

    Reference:
        Miller, "Note on the bias of information estimates", 1955.
    """
    pairs = [both for both in zip(values, labels, strict=True) if all(both)]
    joint, rows = Counter(pairs), len(pairs)
    by_value = Counter(value for value, _ in pairs)
    by_label = Counter(label for _, label in pairs)
    fact = {"rows": rows, "values": len(by_value), "classes": len(by_label)}
    if fact["values"] < 2 or fact["classes"] < 2:
        return fact
    entropy = -sum(n / rows * np.log2(n / rows) for n in by_label.values())
    bits = sum(
        n / rows * np.log2(n * rows / by_value[value] / by_label[label])
        for (value, label), n in joint.items()
    )
    bias = (len(by_value) - 1) * (len(by_label) - 1) / (2 * rows * np.log(2))
    bits = float(max(bits - bias, 0))
    return fact | {
        "bits": bits,
        "explained": bits / float(entropy),
        "accuracy": guesses(joint, by_label) / rows,
        "biggest": max(by_label.values()) / rows,
    }


def guesses(joint, by_label):
    """Counts the rows whose class the other rows of their value give away."""
    of_value, right = defaultdict(Counter), 0
    for (value, label), n in joint.items():
        of_value[value][label] = n
    usual = by_label.most_common(1)[0][0]
    for counts in of_value.values():
        for label, n in counts.items():
            others = counts - Counter({label: 1})
            best = max(others, key=others.get) if others else usual
            right += n * (best == label)
    return right
