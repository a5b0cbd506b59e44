"""What differs between two documents."""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from .encoding import decode_canonical
from .errors import build
from .html import table


class Difference(NamedTuple):
    """One difference."""

    #: ``changed``, ``added`` or ``removed``.
    op: str
    #: A JSON Pointer: in the old document for what was removed, else in the new one.
    path: str
    #: The values; ``None`` for the one that is not there.
    old: Any
    new: Any
    #: Where a changed value was in the old document, if that is another place.
    old_path: Optional[str]
    #: ``new - old`` and the same in percent of the old number, between two numbers.
    difference: Any
    percent: Optional[float]


class Diff:
    """The differences between two documents. It is true where there are any, and ``str`` of it is the text.

    >>> from backstory import Archive
    >>> archive = Archive.in_memory()
    >>> for loss in (0.5, 0.25):
    ...     _ = archive.save("runs/1.json", {"loss": loss})
    >>> diff = archive.diff("runs/1.json@1", "@2")
    >>> print(diff)
    ~ /loss  0.5 → 0.25  (-0.25, -50 %)
    1 changed
    >>> [(change.path, change.old, change.new) for change in diff]
    [('/loss', 0.5, 0.25)]
    """

    #: What was compared.
    old: str
    new: str
    #: The differences, in the order of the documents.
    changes: List[Difference]
    #: The differences as text, one a line, with a summary at the end.
    text: str
    #: A JSON Patch (RFC 6902) that makes the new document of the old one.
    patch: List[Dict[str, Any]]
    #: How many differences were left out by ``ignore`` or a tolerance.
    hidden: int

    def __init__(self, row: Dict[str, Any]) -> None:
        found = decode_canonical(row["json"], row["nan"])
        self.old, self.new = found["old"], found["new"]
        names = Difference._fields
        self.changes = [
            Difference(**{name: change.get(name) for name in names}) for change in found["changes"]
        ]
        self.text = row["text"]
        self.patch = json.loads(row["patch"])
        self.hidden = row["hidden"]
        self._merge: Optional[str] = row["merge"]

    @property
    def merge(self) -> Any:
        """A JSON Merge Patch (RFC 7396), which cannot make a value ``null``: then this raises ``ValueError``."""
        if self._merge is None:
            message = "a merge patch cannot make a value null; take `patch`"
            raise build("usage", message, {})
        return json.loads(self._merge)

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __iter__(self) -> Iterator[Difference]:
        return iter(self.changes)

    def __str__(self) -> str:
        return self.text.rstrip("\n")

    def __repr__(self) -> str:
        return f"Diff({self.old!r}, {self.new!r}, {len(self.changes)} differences)"

    def _repr_html_(self) -> str:
        rows = [(change.op, change.path, change.old, change.new) for change in self.changes]
        return table(["", "path", self.old, self.new], rows)
