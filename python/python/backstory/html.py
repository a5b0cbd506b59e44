"""Tables for notebooks."""

from __future__ import annotations

import datetime
import html
import json
from typing import Any, Iterable, Sequence

#: More rows than these are counted and not shown.
MOST_ROWS = 200
#: Longer values are cut.
MOST_CHARACTERS = 80


def cell(value: Any) -> str:
    """A value as text that is safe in a page."""
    if value is None:
        text = ""
    elif isinstance(value, str):
        text = value
    elif isinstance(value, datetime.datetime):
        text = value.strftime("%Y-%m-%d %H:%M:%S")
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            text = str(value)
    if len(text) > MOST_CHARACTERS:
        text = text[: MOST_CHARACTERS - 1] + "…"
    return html.escape(text)


def table(names: Sequence[str], rows: Sequence[Iterable[Any]]) -> str:
    """A table with a line for each row."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    left = len(rows) - MOST_ROWS
    more = f"<caption>and {left} more</caption>" if left > 0 else ""
    return f"<table>{more}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
