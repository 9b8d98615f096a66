"""A report in one HTML file that needs no other."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from dlcore.report._statistics import label
from dlcore.report._table import table_html

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; font-weight: 600; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin-top: 2.2rem; }
.box { overflow-x: auto; } img { max-width: 100%; height: auto; background: white; border-radius: 4px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
td[align=right] { text-align: right; } thead th { cursor: pointer; background: var(--soft); white-space: nowrap; }
"""
# A click on a column's head sorts by it; the page reads as well without.
SCRIPT = """
for (const head of document.querySelectorAll('thead th')) head.onclick = () => {
  const body = head.closest('table').tBodies[0], at = head.cellIndex, up = head.dataset.up !== '1';
  head.dataset.up = up ? '1' : '';
  const number = /^[-+]?[\\d.]+(e[-+]?\\d+)?( ± .*)?$/;
  const key = row => { const text = row.cells[at].textContent; return number.test(text) ? parseFloat(text) : text; };
  const order = (a, b) => (key(a) > key(b)) - (key(a) < key(b));
  [...body.rows].sort((a, b) => up ? order(a, b) : order(b, a)).forEach(row => body.append(row));
};
"""


def page(title: str, sections: Sequence[tuple[str, Any]]) -> str:
    """Returns an HTML document with everything in it: it works offline, in the dark and on a phone.

    Args:
      title: the first line.
      sections: pairs of heading and content: a figure, a table (a list of dicts), a mapping, a text, or a tuple of
        several of these.

    Example:
      >>> text = page("A run", [("Results", {"loss": 0.1}), ("Note", "all < well")])
      >>> "all &lt; well" in text and "http" not in text
      True
    """
    parts = [f"<h2>{html.escape(heading)}</h2>\n{_content(heading, content)}" for heading, content in sections]
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    body = f"<h1>{html.escape(title)}</h1>\n" + "\n".join(parts)
    start = f'<!DOCTYPE html>\n<html lang="en"><head>{head}<style>{STYLE}</style></head>\n'
    return f"{start}<body>{body}\n<script>{SCRIPT}</script></body></html>\n"


def _content(heading: str, content: Any) -> str:
    if hasattr(content, "savefig"):
        picture = io.BytesIO()
        content.savefig(picture, format="png", dpi=130)
        code = base64.b64encode(picture.getvalue()).decode()
        return f'<img alt="{html.escape(heading)}" src="data:image/png;base64,{code}">'
    if isinstance(content, Mapping):
        return f'<div class="box">{_pairs(content)}</div>'
    if isinstance(content, tuple):
        return "\n".join(_content(heading, part) for part in content)
    if isinstance(content, list):
        return f'<div class="box">{table_html(content)}</div>'
    return f"<p>{html.escape(str(content))}</p>"


def _pairs(content: Mapping[str, Any]) -> str:
    rows = []
    for name, value in content.items():
        said = _pairs(value) if isinstance(value, Mapping) else html.escape(label(value))
        rows.append(f"<tr><th>{html.escape(str(name).replace('_', ' '))}</th><td>{said}</td></tr>")
    return f"<table><tbody>{''.join(rows)}</tbody></table>"
