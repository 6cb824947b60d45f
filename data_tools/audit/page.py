"""The page of an audit: tables, pictures, and the sections they stand in."""

import base64
import io
from dataclasses import dataclass, field
from html import escape

from PIL import Image

SIDE = 112  # of the pictures on the page
STYLE = """
:root { color-scheme: light dark; --line: #8886; --loud: #b3261e; --soft: #8881 }
@media (prefers-color-scheme: dark) { :root { --loud: #ff8a80 } }
@media print { :root { color-scheme: light; --loud: #b3261e }
  figure, tr { break-inside: avoid } h2 { break-after: avoid } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto;
  padding: 1rem; overflow-wrap: anywhere }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
h1 small { font-weight: normal; opacity: .7 }
.scroll { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse; overflow-wrap: normal }
caption { text-align: left; font-weight: bold; padding: .3rem 0 }
td, th { padding: .2rem .7rem; border-bottom: 1px solid var(--line); text-align: left }
.n { text-align: right; font-variant-numeric: tabular-nums }
.alarms { border: 2px solid var(--loud); border-radius: .4rem; padding: .3rem 1rem }
.alarm { color: var(--loud); font-weight: bold }
.row { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0 }
.pair { display: flex; flex-wrap: wrap; gap: .5rem; padding: .5rem;
  background: var(--soft); border-radius: .4rem; max-width: 17rem }
.pair p { flex: 0 0 100%; margin: 0; font-size: .85rem }
figure { margin: 0; width: 7rem; font-size: .75rem; line-height: 1.25 }
figure img { width: 7rem; height: 7rem; object-fit: contain; background: #000 }
"""
# Nothing on the page may load or run, whatever the manifest holds.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass
class Section:
    """One section.

    Attributes:
        name: Key in `audit.json`.
        title: Heading.
        meaning: One sentence that says what to make of it.
        facts: What goes into `audit.json`.
        alarms: List of sentences; each is to be acted upon.
        parts: List of HTML.
    """

    name: str
    title: str
    meaning: str
    facts: dict = field(default_factory=dict)
    alarms: list = field(default_factory=list)
    parts: list = field(default_factory=list)


def render(report, sections):
    """Writes the page.

    Args:
        report: Dict, see `audit.write`.
        sections: List of `Section`.

    Returns:
        HTML, with everything in it.
    """
    loud = "".join(
        f'<li><a href="#{section.name}">{escape(section.title)}</a>: {escape(alarm)}'
        for section in sections
        for alarm in section.alarms
    )
    box = f'<ul class="alarms">{loud}</ul>' if loud else paragraph("No alarms.")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Audit of {escape(report['manifest'])}</title>"
        f"<style>{STYLE}</style></head>\n<body><h1>Audit of "
        f"{escape(report['manifest'])} <small>{report['rows']:,} rows, "
        f"{report['pictures']:,} pictures</small></h1>\n{box}\n"
        + "\n".join(map(render_section, sections))
        + "\n</body></html>\n"
    )


def render_section(section):
    """Writes one section."""
    loud = "".join(f'<p class="alarm">{escape(alarm)}</p>' for alarm in section.alarms)
    return (
        f'<section id="{section.name}"><h2>{escape(section.title)}</h2>'
        f"{paragraph(section.meaning)}{loud}{''.join(section.parts)}</section>"
    )


def paragraph(text):
    """Writes a paragraph."""
    return f"<p>{escape(text)}</p>"


def table(header, rows, caption=""):
    """Writes a table; whole numbers get thousands separators, shares per cent.

    Args:
        header: List of texts.
        rows: List of lists of texts, integers and shares (float).
        caption: Text above it.
    """
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    numeric = [any(isinstance(c, int | float) for c in column) for column in columns]
    head = line("th", header, numeric)
    body = "".join(line("td", row, numeric) for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{title}<thead>{head}</thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def line(tag, cells, numeric):
    """Writes one line of a table."""
    written = []
    for cell, number in zip(cells, numeric, strict=True):
        if isinstance(cell, float):
            cell = percent(cell)
        elif isinstance(cell, int):
            cell = f"{cell:,}"
        kind = ' class="n"' if number else ""
        written.append(f"<{tag}{kind}>{escape(cell)}</{tag}>")
    return f"<tr>{''.join(written)}</tr>"


def percent(share):
    """Writes a share."""
    return f"{share:.1%}".replace("%", " %")


def picture(pixels, caption, side=SIDE):
    """Writes a small copy of a picture, in the page itself.

    Args:
        pixels: uint8 `(height, width)`, or `None` if there is none.
        caption: Lines below it.
        side: The longer side in pixels; a smaller picture is enlarged.
    """
    caption = list(caption)
    text = "<br>".join(map(escape, caption))
    if pixels is None:
        return f"<figure><figcaption>{text}</figcaption></figure>"
    image = Image.fromarray(pixels)
    scale = side / max(image.size)
    size = [max(1, round(length * scale)) for length in image.size]
    image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=3)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    return (
        f'<figure><img src="data:image/jpeg;base64,{data}" '
        f'alt="{escape(" ".join(caption))}"><figcaption>{text}</figcaption></figure>'
    )


def row(figures):
    """Places figures beside one another."""
    return f'<div class="row">{"".join(figures)}</div>'
