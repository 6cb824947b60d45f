"""A report as Markdown and as one HTML page, from the same blocks."""

import base64
import dataclasses
from html import escape
from pathlib import Path

STYLE = """
:root { color-scheme: light dark; --line: #8886 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto;
  padding: 1rem }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
.scroll { overflow-x: auto; margin: 1rem 0 }
table { border-collapse: collapse }
td, th { padding: .2rem .7rem; border-bottom: 1px solid var(--line);
  text-align: left; white-space: nowrap; font-variant-numeric: tabular-nums }
figure { margin: 1rem 0 } img { max-width: 100%; background: #fff }
pre { overflow-x: auto; padding: .7rem; border: 1px solid var(--line) }
@media print { tr, figure { break-inside: avoid } }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclasses.dataclass(frozen=True)
class Heading:
    """Begins a section."""

    text: str

    def markdown(self):
        return f"## {self.text}"

    def html(self, folder):
        return f"<h2>{escape(self.text)}</h2>"


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str

    def markdown(self):
        return self.text

    def html(self, folder):
        return f"<p>{escape(self.text)}</p>"


@dataclasses.dataclass(frozen=True)
class Code:
    """A command to copy."""

    text: str

    def markdown(self):
        return f"```bash\n{self.text}\n```"

    def html(self, folder):
        return f"<pre>{escape(self.text)}</pre>"


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of texts under a header."""

    header: list
    rows: list

    def markdown(self):
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        cells = ([str(cell).replace("|", "\\|") for cell in row] for row in lines)
        return "\n".join(f"| {' | '.join(row)} |" for row in cells)

    def html(self, folder):
        body = "".join(_line("td", row) for row in self.rows)
        head = _line("th", self.header)
        return (
            f'<div class="scroll"><table><thead>{head}</thead>'
            f"<tbody>{body}</tbody></table></div>"
        )


@dataclasses.dataclass(frozen=True)
class Figure:
    """A PNG beside the report, and what it shows."""

    name: str
    text: str

    def markdown(self):
        return f"![{self.text}]({self.name})\n\n{self.text}"

    def html(self, folder):
        data = base64.b64encode(Path(folder, self.name).read_bytes()).decode()
        text = escape(self.text)
        return (
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}</figcaption></figure>"
        )


def markdown(title, blocks):
    """Writes the report as Markdown."""
    return "\n\n".join([f"# {title}", *(b.markdown() for b in blocks)]) + "\n"


def html(title, blocks, folder):
    """Writes the report as one page that loads nothing.

    Args:
        title: Text.
        blocks: List of blocks.
        folder: Where the figures are.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n"
        + "\n".join(block.html(folder) for block in blocks)
        + "\n</body></html>\n"
    )


def _line(tag, cells):
    return (
        f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>"
    )
