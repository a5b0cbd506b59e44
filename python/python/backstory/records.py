"""What an archive says: versions, commits, changes and the rest, as plain objects that notebooks show as tables."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from .html import table
from .notes import moment

if TYPE_CHECKING:
    from .archive import Archive
    from .comparing import Diff


def clock(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


class Version:
    """One version of one path, with the commit that made it.

    >>> from backstory import Archive
    >>> archive = Archive.in_memory()
    >>> _ = archive.save("runs/1.json", {"loss": 0.5}, author="ops", message="first")
    >>> version = archive.version("runs/1.json")
    >>> version.rev, version.op, version.author, version.message
    ('runs/1.json@1', 'save', 'ops', 'first')
    >>> version.load()
    {'loss': 0.5}
    """

    __slots__ = ("_archive", "_row", "_meta")

    def __init__(self, archive: Archive, row: Dict[str, Any]) -> None:
        self._archive = archive
        self._row = row
        self._meta: Optional[Dict[str, Any]] = None

    @property
    def path(self) -> str:
        """The path."""
        return str(self._row["path"])

    @property
    def version(self) -> int:
        """1, 2, 3 …"""
        return int(self._row["version"])

    @property
    def op(self) -> str:
        """What made it: ``save``, ``rollback``, ``delete``, ``undelete``, ``rename``, ``rename-away``, ``undo`` or ``redo``."""
        return str(self._row["op"])

    @property
    def id(self) -> Optional[str]:
        """The BLAKE3 of the canonical form, in hexadecimal; ``None`` where the path ended."""
        return self._row["id"]  # type: ignore[no-any-return]

    @property
    def commit(self) -> str:
        """The id of the commit."""
        return str(self._row["commit"])

    @property
    def seq(self) -> int:
        """The number of the commit."""
        return int(self._row["seq"])

    @property
    def time(self) -> datetime.datetime:
        """The time that the commit claims, in UTC."""
        return moment(self._row["time"])

    @property
    def recorded(self) -> datetime.datetime:
        """The writer's clock at the commit, in UTC."""
        return moment(self._row["recorded"])

    @property
    def author(self) -> Optional[str]:
        """Who made the commit."""
        return self._row["author"]  # type: ignore[no-any-return]

    @property
    def message(self) -> Optional[str]:
        """What the commit is about."""
        return self._row["message"]  # type: ignore[no-any-return]

    @property
    def meta(self) -> Dict[str, Any]:
        """The metadata of the commit."""
        if self._meta is None:
            text = self._row["meta"]
            self._meta = json.loads(text) if text else {}
        return self._meta

    @property
    def of(self) -> Optional[int]:
        """Of a rollback: the version whose content it restored."""
        return self._row["of"]  # type: ignore[no-any-return]

    @property
    def other(self) -> Optional[str]:
        """Of a rename: the other path."""
        return self._row["other"]  # type: ignore[no-any-return]

    @property
    def file(self) -> bool:
        """Was the path saved as a file, now or earlier?"""
        return bool(self._row["file"])

    @property
    def is_deleted(self) -> bool:
        """Did the path end with this version?"""
        return self._row["id"] is None

    @property
    def rev(self) -> str:
        """The revision that names it, as in ``runs/1.json@3``."""
        return f"{self.path}@{self.version}"

    def load(self) -> Any:
        """The data."""
        return self._archive.load(self.path, self.version)

    def text(self) -> str:
        """The JSON text as it was saved."""
        return self._archive.load_bytes(self.path, self.version).decode("utf-8")

    def diff(self, new: Optional[Version] = None) -> Diff:
        """What differs from this version to another, or to the file on disk."""
        return self._archive.diff(self, new)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return (self.commit, self.path, self.version) == (other.commit, other.path, other.version)

    def __hash__(self) -> int:
        return hash((self.commit, self.path, self.version))

    def __repr__(self) -> str:
        parts = [repr(self.rev), self.op, f"{clock(self.time)} UTC"]
        if self.author:
            parts.append(f"by {self.author}")
        if self.message:
            parts.append(repr(self.message))
        return f"Version({', '.join(parts)})"

    def _repr_html_(self) -> str:
        return _versions_table([self])


def _versions_table(versions: Sequence[Version]) -> str:
    names = ["version", "time (UTC)", "author", "message", "op", "id"]
    metas = sorted({name for version in versions for name in version.meta if name != "provenance"})
    rows = []
    for version in versions:
        op = version.op if version.of is None else f"{version.op} of {version.of}"
        row: List[Any] = [version.rev, clock(version.time), version.author, version.message, op]
        row.append(version.id[:8] if version.id else None)
        row.extend(version.meta.get(name) for name in metas)
        rows.append(row)
    return table([*names, *metas], rows)


class Versions(List[Version]):
    """Versions, newest first: a list that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return _versions_table(self)

    def to_dicts(self) -> List[Dict[str, Any]]:
        """A dictionary for each, ready for ``pandas.DataFrame``."""
        names = ("path", "version", "op", "id", "commit", "seq", "time", "author", "message", "meta")
        return [{name: getattr(version, name) for name in names} for version in self]


class Change(NamedTuple):
    """What a commit did to one path."""

    #: The path; empty where a tag names the whole archive.
    path: str
    #: The version that is newest now.
    version: int
    #: Its id; ``None`` where the path ended.
    id: Optional[str]
    #: The commit that made this version.
    commit: str
    #: The number of that commit.
    seq: int
    #: ``saved``, ``reformatted``, ``unchanged``, ``rolled-back``, ``undone``, ``deleted`` …
    status: str

    @classmethod
    def of(cls, row: Dict[str, Any]) -> Change:
        return cls(**row)

    @property
    def rev(self) -> str:
        """The revision that names the version, as in ``runs/1.json@3``."""
        return f"{self.path}@{self.version}"

    def __repr__(self) -> str:
        return f"Change({self.rev!r}, {self.status})"


class FileEvent(NamedTuple):
    """What became of a file when content was restored."""

    #: The path in the archive, and the file.
    path: str
    file: str
    #: ``written``, ``already-there``, ``moved-aside``, ``left``, ``never-a-file`` or ``failed``.
    event: str
    #: The new name of what was moved aside.
    aside: Optional[str]


class Changes(List[Change]):
    """What a commit did, a change for each path."""

    #: What was saved in front, so that nothing on disk was lost.
    first: List[Change]
    #: What became of the files.
    files: List[FileEvent]

    def __init__(
        self,
        changes: Iterable[Change] = (),
        first: Iterable[Change] = (),
        files: Iterable[FileEvent] = (),
    ) -> None:
        super().__init__(changes)
        self.first = list(first)
        self.files = list(files)

    def _repr_html_(self) -> str:
        return table(["", "status", "id"], [(c.rev, c.status, (c.id or "")[:8]) for c in self])


class Commit:
    """A commit and the versions that it made."""

    __slots__ = ("_row", "changes")

    #: The versions that it made.
    changes: Versions

    def __init__(self, archive: Archive, row: Dict[str, Any]) -> None:
        self._row = row
        self.changes = Versions(Version(archive, change) for change in row["changes"])

    @property
    def id(self) -> str:
        """Its id."""
        return str(self._row["id"])

    @property
    def seq(self) -> int:
        """Its number."""
        return int(self._row["seq"])

    @property
    def time(self) -> datetime.datetime:
        """The time that it claims, in UTC."""
        return moment(self._row["time"])

    @property
    def author(self) -> Optional[str]:
        """Who made it."""
        return self._row["author"]  # type: ignore[no-any-return]

    @property
    def message(self) -> Optional[str]:
        """What it is about."""
        return self._row["message"]  # type: ignore[no-any-return]

    @property
    def meta(self) -> Dict[str, Any]:
        """Its metadata."""
        return json.loads(self._row["meta"]) if self._row["meta"] else {}

    @property
    def tags(self) -> List[str]:
        """The tags that it set or removed."""
        return list(self._row["tags"])

    def __repr__(self) -> str:
        said = f", {self.message!r}" if self.message else ""
        return f"Commit({self.seq}, {self.id[:8]}, {clock(self.time)} UTC, {len(self.changes)} changes{said})"


class Tag(NamedTuple):
    """A name for one version of a path, or for the whole archive at one commit."""

    name: str
    #: The path and the version; ``None`` for the whole archive.
    path: Optional[str]
    version: Optional[int]
    #: The commit that made the version, or the one that the archive is named at.
    commit: str


class BlameLine(NamedTuple):
    """A value of a document, and the version that brought it."""

    #: A JSON Pointer.
    pointer: str
    value: Any
    version: Version


class Found(NamedTuple):
    """A version in which a query selected something."""

    version: Version
    #: JSON Pointers and what stands there.
    values: List[Tuple[str, Any]]


class Match(NamedTuple):
    """A version that holds a document that was asked for."""

    version: Version
    #: Was it saved in the very bytes?
    same_bytes: bool


class Series(Dict[str, List[Any]]):
    """Values over the versions of a path, oldest first: a list for each column, all of one length.

    The columns are ``version``, ``time`` and the JSON Pointers that were asked for; ``None`` stands for what a version does
    not have. ``pandas.DataFrame(series)`` and ``plt.plot(series["version"], series["/loss"])`` take it as it is.
    """

    #: The versions.
    versions: Versions

    def __init__(self, versions: Versions, columns: Dict[str, List[Any]]) -> None:
        super().__init__(columns)
        self.versions = versions

    def _repr_html_(self) -> str:
        names = list(self)
        return table(names, list(zip(*(self[name] for name in names))))


class Rows(List[Dict[str, Any]]):
    """The answer to a query: a dictionary for each row, which ``pandas.DataFrame`` takes as it is."""

    #: The names of the columns, in order.
    columns: List[str]

    def __init__(self, columns: List[str], rows: List[List[Any]]) -> None:
        super().__init__(dict(zip(columns, row)) for row in rows)
        self.columns = columns

    def _repr_html_(self) -> str:
        return table(self.columns, [list(row.values()) for row in self])


class Finding(NamedTuple):
    """One thing that is wrong with an archive."""

    #: ``damaged-log``, ``lost-commits``, ``damaged-object``, ``shortened-history``, ``missing-head`` or ``wrong-index``.
    kind: str
    #: The segment's file, relative to the archive's folder, and the byte in it.
    segment: Optional[str]
    offset: Optional[int]
    message: str
    #: Paths and versions that it touches.
    affects: List[Tuple[str, int]]


class Loss(NamedTuple):
    """What an earlier repair has noted as gone."""

    noted: datetime.datetime
    #: The first and the last of the commits that are gone, where any are.
    commits: Optional[Tuple[int, int]]
    versions: List[Tuple[str, int]]

    @classmethod
    def of(cls, row: Dict[str, Any]) -> Loss:
        return cls(moment(row["noted"]), row["commits"], row["versions"])


class Report(NamedTuple):
    """What ``verify`` found; it is true where nothing is wrong."""

    ok: bool
    #: Whole commits, and objects whose content was checked.
    commits: int
    objects: int
    #: The id of the newest commit.
    head: str
    findings: List[Finding]
    losses: List[Loss]

    def __bool__(self) -> bool:
        return self.ok

    @classmethod
    def of(cls, row: Dict[str, Any]) -> Report:
        findings = [Finding(**finding) for finding in row["findings"]]
        losses = [Loss.of(loss) for loss in row["losses"]]
        return cls(row["ok"], row["commits"], row["objects"], row["head"], findings, losses)


class Step(NamedTuple):
    """What a repair did to one file."""

    #: The file, relative to the archive's folder, and what was done.
    file: str
    what: str
    #: Where the file as it was is kept; ``None`` where there was none.
    kept: Optional[str]


class Repaired(NamedTuple):
    """What a repair did: nothing where there are no steps."""

    steps: List[Step]
    #: What is gone.
    lost: List[Loss]
    #: The archive as it is now.
    report: Report

    @classmethod
    def of(cls, row: Dict[str, Any]) -> Repaired:
        steps = [Step(**step) for step in row["steps"]]
        return cls(steps, [Loss.of(loss) for loss in row["lost"]], Report.of(row["report"]))


class Stats(NamedTuple):
    """How much there is of what."""

    paths: int
    versions: int
    commits: int
    objects: int
    log_bytes: int
    index_bytes: int
    #: Bytes of the canonical forms of all versions, as if each were stored whole.
    document_bytes: int


class FileStatus(NamedTuple):
    """How a file stands to the newest version of its path."""

    path: str
    version: int
    #: ``same``, ``modified``, ``missing`` or ``invalid``.
    state: str
