"""``Archive``: everything that can be asked of an archive, and done to it."""

from __future__ import annotations

import datetime
import json
import os
from types import TracebackType
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Type, Union

from . import _native
from .comparing import Diff
from .encoding import Default, Text, decode_canonical, encode
from .errors import BackstoryError, build, extended
from .handles import absolute, existing, find_root, log, open_handle, pass_on_notices, shared
from .notes import Moment, microseconds, note
from .records import (
    BlameLine,
    Change,
    Changes,
    Commit,
    FileEvent,
    FileStatus,
    Found,
    Match,
    Repaired,
    Report,
    Rows,
    Series,
    Stats,
    Tag,
    Version,
    Versions,
)

StrPath = Union[str, "os.PathLike[str]"]
#: Which version of a path: a number, a time or date, or what may stand behind the ``@`` of a revision.
Which = Union[int, str, datetime.date]
#: A version by its revision, as in ``runs/1.json@3``, or as an object.
Rev = Union[str, Version]


def _utc(time: datetime.datetime) -> str:
    return time.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _spec(which: Which) -> str:
    if isinstance(which, datetime.datetime):
        return _utc(which)
    if isinstance(which, datetime.date):
        return which.isoformat()
    return str(which).lstrip("@") if isinstance(which, str) else str(which)


def spec_of(
    version: Optional[int], at: Union[str, datetime.date, None], rev: Optional[str]
) -> Optional[str]:
    """What is meant by the arguments of a load; ``None`` for the newest version."""
    given: List[Which] = [which for which in (version, at, rev) if which is not None]
    if len(given) > 1:
        raise build("usage", "version, at and rev name one version each: give one of them", {})
    return _spec(given[0]) if given else None


def text_of(data: Any, default: Optional[Default], indent: Union[int, str, None]) -> Text:
    """Text and bytes are JSON text as they are; other data are encoded."""
    if isinstance(data, str):
        return data.encode("utf-8"), None
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), None
    return encode(data, default=default, indent=indent)


class Archive:
    """The archive of a folder: every version of every document saved to it.

    ``Archive("project")`` opens the archive in ``project/.backstory``, and ``Archive("project", create=True)`` makes it
    where there is none. :meth:`Archive.of` takes the nearest above a file.

    Paths are the names in the archive, relative to its folder and with ``/`` between: ``runs/1.json``. Where a path is
    taken, an absolute file name and a ``pathlib.Path`` do as well. A revision is a path with ``@`` and a version behind it:
    ``runs/1.json@3``, ``@-1`` (one before the newest), ``@2026-11-01``, ``@TAG``, ``@b3:9f2c``.

    An archive may be used by many threads. A process that was forked opens it again on first use, and so does one that
    gets it by pickling. Changes take ``message``, ``author``, ``meta`` (a dictionary), ``time`` (where it is not now) and
    ``provenance``; see :func:`backstory.save_json`.

    >>> from backstory import Archive
    >>> archive = Archive("project", create=True)
    >>> archive.save("runs/1.json", {"loss": 0.5}, message="first")
    Change('runs/1.json@1', saved)
    >>> archive.save("runs/1.json", {"loss": 0.25})
    Change('runs/1.json@2', saved)
    >>> archive.load("runs/1.json@1")
    {'loss': 0.5}
    >>> [version.rev for version in archive.history("runs/1.json")]
    ['runs/1.json@2', 'runs/1.json@1']
    """

    def __init__(
        self,
        path: StrPath = ".",
        *,
        create: bool = False,
        wait: float = 30.0,
        read_only: bool = False,
    ) -> None:
        self._options = (wait, read_only)
        root = absolute(path)
        self.handle, _ = open_handle(root, create=create, wait=wait, read_only=read_only)

    @classmethod
    def _with(cls, handle: _native.Handle) -> Archive:
        archive = cls.__new__(cls)
        archive.handle = handle
        archive._options = (30.0, False)
        return archive

    @classmethod
    def of(cls, path: StrPath = ".", *, create: bool = False) -> Archive:
        """The archive that a file or folder belongs to: ``$BACKSTORY_ARCHIVE``, else the nearest above it. With ``create``
        one is made at the root of the project where there is none.

        >>> from backstory import Archive, save_json
        >>> _ = save_json([1, 2], "data/points.json")
        >>> Archive.of("data/points.json").load("data/points.json")
        [1, 2]
        """
        file = absolute(path)
        if create:
            root, missing = find_root(file)
            return cls._with(shared(root, create=missing))
        return cls._with(existing(file))

    @classmethod
    def in_memory(cls) -> Archive:
        """An archive in memory, which ends with its last handle."""
        return cls._with(_native.Handle.in_memory())

    @staticmethod
    def repair(path: StrPath = ".") -> Repaired:
        """Makes the damaged archive of a folder whole again without what is gone, and says what that is. Nothing is deleted:
        what was damaged is kept in ``.backstory/log/damaged``.

        >>> from backstory import Archive
        >>> _ = Archive("project", create=True).save("runs/1.json", {"loss": 0.5})
        >>> Archive.repair("project").steps
        []
        """
        return Repaired.of(_native.repair(absolute(path)))

    @property
    def root(self) -> Optional[str]:
        """The folder that holds ``.backstory``; ``None`` in memory."""
        return self.handle.root

    @property
    def id(self) -> str:
        """The archive's identity."""
        return self.handle.id

    def __repr__(self) -> str:
        return f"Archive({self.root!r})" if self.root is not None else "Archive.in_memory()"

    def __reduce__(self) -> Any:
        if self.root is None:
            raise build("usage", "an archive in memory stays with the process that made it", {})
        return _reopen, (self.root, *self._options)

    def close(self) -> None:
        """Closes it; using it again is an error. An archive that is never closed is closed when it is collected."""
        self.handle.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()

    # Names

    def _path(self, path: StrPath) -> str:
        if isinstance(path, str) and not os.path.isabs(path):
            return path
        return _native.path_of(self.handle, absolute(path))

    def _rev(self, rev: Union[StrPath, Version], which: Optional[str] = None, before: Optional[str] = None) -> _native.Rev:
        if isinstance(rev, Version):
            return rev.path, str(rev.version)
        if which is not None or not isinstance(rev, str) or os.path.isabs(rev):
            return self._path(rev), which
        return _native.split_rev(self.handle, rev, before)

    def _note(
        self,
        message: Optional[str],
        author: Optional[str],
        meta: Optional[Mapping[str, Any]],
        time: Optional[Moment],
        provenance: bool,
    ) -> _native.Note:
        return note(message, author, meta, time, provenance, self.root if provenance else None)

    def _heard(self) -> None:
        pass_on_notices(self.handle)

    # Saving

    def save(
        self,
        path: StrPath,
        data: Any,
        *,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
        time: Optional[Moment] = None,
        provenance: bool = False,
        if_version: Optional[int] = None,
        if_absent: bool = False,
        ignore_format: bool = False,
        default: Optional[Default] = None,
        indent: Union[int, str, None] = 2,
    ) -> Change:
        """Saves a version; no file is written (:func:`backstory.save_json` does that).

        ``data`` is what JSON can hold. **Text and bytes are taken as JSON text** and kept as they are: a document that is
        a text is saved as ``json.dumps(text)``. With ``if_version`` or ``if_absent`` it is saved only if the newest version
        is that one, or the path has none, else :class:`~backstory.ConflictError`; with ``ignore_format`` the same document
        in another layout is ``unchanged``.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> archive.save("config/a.json", {"port": 80})
        Change('config/a.json@1', saved)
        >>> archive.save("config/a.json", '{"port": 80}')
        Change('config/a.json@2', reformatted)
        """
        text = text_of(data, default, indent)
        said = self._note(message, author, meta, time, provenance)
        return self._save([(self._path(path), *text)], said, (if_version, if_absent, ignore_format))[0]

    def _save(
        self,
        documents: Sequence[Tuple[str, bytes, Optional[bytes]]],
        said: _native.Note,
        conditions: Tuple[Optional[int], bool, bool] = (None, False, False),
    ) -> Changes:
        rows = _native.save(self.handle, list(documents), said, conditions)
        self._heard()
        return Changes(map(Change.of, rows))

    def batch(
        self,
        *,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
        time: Optional[Moment] = None,
        provenance: bool = False,
    ) -> Batch:
        """Several documents in one commit: all of them are saved when the block ends, or none where it raises.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> with archive.batch(message="both") as b:
        ...     b.save("config/a.json", {"port": 80})
        ...     b.save("config/b.json", {"port": 81})
        >>> [change.rev for change in b.changes]
        ['config/a.json@1', 'config/b.json@1']
        """
        return Batch(self, self._note(message, author, meta, time, provenance))

    def patch(
        self,
        path: StrPath,
        patch: Any,
        *,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
        if_version: Optional[int] = None,
        provenance: bool = False,
    ) -> Change:
        """Saves what a JSON Patch (a list, RFC 6902) or a merge patch (a dictionary, RFC 7396) makes of the newest version.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> _ = archive.save("config/a.json", {"port": 80, "host": "a"})
        >>> _ = archive.patch("config/a.json", {"port": 8080})
        >>> archive.load("config/a.json")
        {'port': 8080, 'host': 'a'}
        """
        text, _ = text_of(patch, None, None)
        said = self._note(message, author, meta, None, provenance)
        rows = _native.patch(self.handle, self._path(path), text, said, if_version)
        self._heard()
        return Change.of(rows[0])

    # Loading

    def load(
        self,
        path: Union[StrPath, Version],
        version: Optional[int] = None,
        *,
        at: Union[str, datetime.date, None] = None,
        rev: Optional[str] = None,
        pointer: Optional[str] = None,
    ) -> Any:
        """The data of a version, the newest if none is named; with ``pointer`` the value at a JSON Pointer in it.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> for loss in (0.5, 0.25):
        ...     _ = archive.save("runs/1.json", {"loss": loss})
        >>> archive.load("runs/1.json"), archive.load("runs/1.json", 1), archive.load("runs/1.json@-1", pointer="/loss")
        ({'loss': 0.25}, {'loss': 0.5}, 0.5)
        """
        which = self._rev(path, spec_of(version, at, rev))
        text, tagged = _native.load(self.handle, which, "source", pointer)
        self._heard()
        return json.loads(text) if pointer is None else decode_canonical(text, tagged)

    def load_bytes(
        self,
        path: Union[StrPath, Version],
        version: Optional[int] = None,
        *,
        at: Union[str, datetime.date, None] = None,
        rev: Optional[str] = None,
        form: str = "source",
    ) -> bytes:
        """The JSON text of a version: as it was saved (``source``), ``pretty``, ``compact`` or ``canonical``, whose BLAKE3
        is the version's id."""
        which = self._rev(path, spec_of(version, at, rev))
        text, _ = _native.load(self.handle, which, form, None)
        self._heard()
        return text

    def write(self, path: Union[StrPath, Version], file: StrPath, version: Optional[int] = None) -> None:
        """Writes a version to a file, byte for byte, as ``backstory load -o`` does. What stands in the file of an archived
        path and is in no version is saved first."""
        which = self._rev(path, None if version is None else str(version))
        saved, aside = _native.write(self.handle, which, absolute(file), self._note(None, None, None, None, False))
        if saved is not None:
            log.info("saved what was in %s as %s", os.fspath(file), saved)
        if aside is not None:
            log.warning("what was in %s could not be saved: it is %s now", os.fspath(file), aside)

    def version(
        self,
        path: Union[StrPath, Version],
        version: Optional[int] = None,
        *,
        at: Union[str, datetime.date, None] = None,
        rev: Optional[str] = None,
    ) -> Version:
        """A version, the newest if none is named. It may be a deletion."""
        which = self._rev(path, spec_of(version, at, rev))
        return Version(self, _native.resolve(self.handle, which))

    # What was

    def history(
        self,
        path: Optional[StrPath] = None,
        *,
        limit: Optional[int] = None,
        since: Optional[Moment] = None,
        until: Optional[Moment] = None,
        follow: bool = True,
    ) -> Versions:
        """The versions of a path, or of all paths, newest first. Renames are followed unless ``follow`` is false.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> for loss in (0.5, 0.25):
        ...     _ = archive.save("runs/1.json", {"loss": loss}, message=f"loss {loss}")
        >>> [(version.version, version.message) for version in archive.history("runs/1.json")]
        [(2, 'loss 0.25'), (1, 'loss 0.5')]
        """
        rows = _native.history(
            self.handle,
            None if path is None else self._path(path),
            limit,
            None if since is None else microseconds(since),
            None if until is None else microseconds(until),
            follow and path is not None,
        )
        self._heard()
        return Versions(Version(self, row) for row in rows)

    def list(self, prefix: str = "", *, deleted: bool = False) -> Versions:
        """The newest version of each path at or below ``prefix``, by name."""
        rows = _native.list(self.handle, prefix)
        versions = (Version(self, row) for row in rows)
        return Versions(version for version in versions if deleted or not version.is_deleted)

    def commits(self, limit: Optional[int] = None) -> List[Commit]:
        """Commits with the versions that they made, newest first."""
        rows = _native.commits(self.handle, limit)
        self._heard()
        return [Commit(self, row) for row in rows]

    def diff(
        self,
        old: Union[StrPath, Version],
        new: Union[StrPath, Version, None] = None,
        *,
        ignore: Iterable[str] = (),
        tolerance: Union[float, Mapping[str, float]] = 0.0,
        rel_tolerance: Union[float, Mapping[str, float]] = 0.0,
        keys: Optional[Mapping[str, str]] = None,
    ) -> Diff:
        """What differs between two versions, or from a version to the file on disk where no second one is named.

        ``old`` and ``new`` are revisions or :class:`~backstory.Version` objects; a second one that is only ``@3`` keeps the
        path. ``ignore`` are JSON Pointers to leave out, ``*`` standing for any member or element; numbers that differ by at
        most ``tolerance``, or ``rel_tolerance`` as a share of the larger one, are the same (a dictionary has them by
        pointer); ``keys`` says which member tells the elements of an array apart, as in ``{"/hosts": "name"}``.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> for loss in (0.5, 0.25):
        ...     _ = archive.save("runs/1.json", {"loss": loss, "seed": loss})
        >>> print(archive.diff("runs/1.json@1", "@2", ignore=["/seed"]).text, end="")
        ~ /loss  0.5 → 0.25  (-0.25, -50 %)
        1 changed
        """
        first = self._rev(old)
        second: _native.Side
        if new is None:
            file = _native.file_of(self.handle, first[0])
            with open(file, "rb") as stream:
                second = (first[0], stream.read())
        else:
            second = self._rev(new, before=first[0])
        tolerances: List[Tuple[Optional[str], float, float]] = []
        tolerances += [(at, most, 0.0) for at, most in _by_place(tolerance)]
        tolerances += [(at, 0.0, most) for at, most in _by_place(rel_tolerance)]
        row = _native.diff(
            self.handle, first, second, (list(ignore), tolerances, list((keys or {}).items()))
        )
        return Diff(row)

    def series(
        self,
        path: StrPath,
        *pointers: str,
        last: Optional[int] = None,
        since: Optional[Moment] = None,
        until: Optional[Moment] = None,
        follow: bool = True,
    ) -> Series:
        """Values over the versions of a path, oldest first, as lists of one length: ``version``, ``time`` and one for each
        JSON Pointer, in which ``*`` stands for any member or element.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> for loss in (0.5, 0.25):
        ...     _ = archive.save("runs/1.json", {"loss": loss})
        >>> series = archive.series("runs/1.json", "/loss", "/accuracy")
        >>> series["version"], series["/loss"], series["/accuracy"]
        ([1, 2], [0.5, 0.25], [None, None])
        """
        time = (
            last,
            None if since is None else microseconds(since),
            None if until is None else microseconds(until),
            follow,
        )
        points = _native.series(self.handle, self._path(path), list(pointers), time)
        versions = Versions(Version(self, row) for row, _ in points)
        columns: Dict[str, List[Any]] = {
            "version": [version.version for version in versions],
            "time": [version.time for version in versions],
        }
        found: Dict[str, None] = {pointer: None for pointer in pointers if "*" not in pointer.split("/")}
        for _, values in points:
            found.update(dict.fromkeys(values))
        for pointer in found:
            columns[pointer] = [
                decode_canonical(values[pointer], row["nan"]) if pointer in values else None
                for row, values in points
            ]
        return Series(versions, columns)

    def blame(
        self,
        path: Union[StrPath, Version],
        version: Optional[int] = None,
        *,
        pointer: Optional[str] = None,
    ) -> List[BlameLine]:
        """Which version brought each value of a document; with ``pointer`` only what is at and below that place.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> _ = archive.save("config/a.json", {"host": "a", "port": 80}, author="ops")
        >>> _ = archive.save("config/a.json", {"host": "a", "port": 81}, author="qa")
        >>> [(line.pointer, line.value, line.version.author) for line in archive.blame("config/a.json")]
        [('/host', 'a', 'ops'), ('/port', 81, 'qa')]
        """
        which = self._rev(path, None if version is None else str(version))
        leaves, rows, unread = _native.blame(self.handle, which, pointer)
        for rev in unread:
            log.warning("%s cannot be read; what it changed counts as changed by the next version", rev)
        versions = [Version(self, row) for row in rows]
        tagged = bool(rows) and rows[-1]["nan"]
        return [
            BlameLine(*_leaf(place, text, tagged), versions[origin]) for place, text, origin in leaves
        ]

    def find(self, query: str, *, which: str = "newest", prefix: str = "") -> List[Found]:
        """The documents that a JSONPath query (RFC 9535), or a filter such as ``@.status == "failed"``, selects something
        in: in the ``newest`` versions, in ``all``, or the ``first`` of each path."""
        rows = _native.find(self.handle, query, which, prefix)
        self._heard()
        return [
            Found(Version(self, row), [(place, decode_canonical(text, row["nan"])) for place, text in values])
            for row, values in rows
        ]

    def identify(self, data: Any, *, default: Optional[Default] = None) -> List[Match]:
        """Every version that holds this document, newest first. Text and bytes are JSON text."""
        text, unit = text_of(data, default, 2)
        if unit is not None:
            text = _native.indent(text, unit)
        return [Match(Version(self, row), same) for row, same in _native.identify(self.handle, text)]

    def sql(self, query: str) -> Rows:
        """The answer to a query in SQL about ``paths``, ``versions``, ``commits`` and ``tags``; ``doc(id)`` is a document.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> for loss in (0.5, 0.25):
        ...     _ = archive.save("runs/1.json", {"loss": loss})
        >>> archive.sql("SELECT version, doc(id)->>'$.loss' AS loss FROM versions ORDER BY version")
        [{'version': 1, 'loss': 0.5}, {'version': 2, 'loss': 0.25}]
        """
        columns, rows = _native.query(self.handle, query)
        self._heard()
        return Rows(columns, rows)

    # Going back

    def rollback(
        self,
        *paths: StrPath,
        to: Optional[Which] = None,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
        if_version: Optional[int] = None,
        archive_only: Optional[bool] = None,
        output: Optional[StrPath] = None,
        provenance: bool = False,
    ) -> Changes:
        """Makes an older version current again, as a new version, and writes the file as it was, byte for byte.

        Without ``to`` it is the version before the current one; saying it again walks further back. Files are written for
        paths that were saved as files; with ``archive_only`` none is, with ``output`` that one. What stands in a file and
        is in no version is saved first, or renamed to ``FILE.unsaved-<time>`` where it is no JSON.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> for port in (80, 8080):
        ...     _ = archive.save("config/a.json", {"port": port})
        >>> archive.rollback("config/a.json")
        [Change('config/a.json@3', rolled-back)]
        >>> archive.load("config/a.json")
        {'port': 80}
        """
        names = [self._path(path) for path in paths]
        if archive_only is None and output is None:
            newest = [_native.newest(self.handle, name) for name in names]
            archive_only = not any(row is not None and row["file"] for row in newest)
        answer = _native.rollback(
            self.handle,
            names,
            None if to is None else _spec(to),
            not archive_only,
            None if output is None else absolute(output),
            if_version,
            self._note(message, author, meta, None, provenance),
        )
        return self._restored(answer)

    def undo(
        self,
        commit: Union[str, int, None] = None,
        *,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
        archive_only: bool = False,
    ) -> Changes:
        """Takes back a whole commit, over all its paths, and writes their files. ``commit`` is a number or the beginning of
        an id; without it, it is the newest that is neither an undo nor undone. A path that has changed since is a
        :class:`~backstory.ConflictError`."""
        return self._undo(None if commit is None else str(commit), False, message, author, meta, archive_only)

    def redo(
        self,
        *,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
        archive_only: bool = False,
    ) -> Changes:
        """Takes back the last undo."""
        return self._undo(None, True, message, author, meta, archive_only)

    def _undo(
        self,
        commit: Optional[str],
        redo: bool,
        message: Optional[str],
        author: Optional[str],
        meta: Optional[Mapping[str, Any]],
        archive_only: bool,
    ) -> Changes:
        said = self._note(message, author, meta, None, False)
        files = not archive_only and self.root is not None
        return self._restored(_native.undo(self.handle, commit, redo, files, said))

    def _restored(self, answer: _native.Restored) -> Changes:
        first, rows, files = answer
        changes = Changes(
            map(Change.of, rows),
            map(Change.of, first),
            [FileEvent(path, file, event, aside) for path, file, event, aside, _ in files],
        )
        failed: Optional[BackstoryError] = None
        for _, file, _, aside, error in files:
            if aside is not None:
                log.warning("what was in %s could not be saved: it is %s now", file, aside)
            failed = failed or error
        self._heard()
        if failed is not None:
            raise extended(failed, "the archive has the new version, but the file was not written")
        return changes

    # Paths and tags

    def delete(
        self,
        *paths: StrPath,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
        if_version: Optional[int] = None,
    ) -> Changes:
        """Ends paths in the archive; their history stays, and their files."""
        said = self._note(message, author, meta, None, False)
        names = [self._path(path) for path in paths]
        return Changes(map(Change.of, _native.delete(self.handle, names, said, if_version)))

    def undelete(
        self,
        *paths: StrPath,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
    ) -> Changes:
        """Brings deleted paths back, with the content that they had."""
        said = self._note(message, author, meta, None, False)
        names = [self._path(path) for path in paths]
        return Changes(map(Change.of, _native.undelete(self.handle, names, said)))

    def rename(
        self,
        old: StrPath,
        new: StrPath,
        *,
        message: Optional[str] = None,
        author: Optional[str] = None,
        meta: Optional[Mapping[str, Any]] = None,
    ) -> Changes:
        """Lets ``new`` go on where ``old`` ends, in the archive; the file is not touched."""
        said = self._note(message, author, meta, None, False)
        rows = _native.rename(self.handle, self._path(old), self._path(new), said)
        return Changes(map(Change.of, rows))

    def tag(self, name: str, rev: Optional[Rev] = None, *, message: Optional[str] = None, author: Optional[str] = None) -> None:
        """Names a version, or without one the whole archive as it is now. Moving a tag is a commit.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> _ = archive.save("runs/1.json", {"loss": 0.5})
        >>> archive.tag("paper", "runs/1.json@1")
        >>> archive.load("runs/1.json@paper")
        {'loss': 0.5}
        """
        said = self._note(message, author, None, None, False)
        _native.tag(self.handle, name, None if rev is None else self._rev(rev), said)

    def delete_tag(self, name: str, *, message: Optional[str] = None, author: Optional[str] = None) -> None:
        """Removes a tag."""
        _native.delete_tag(self.handle, name, self._note(message, author, None, None, False))

    def tags(self) -> List[Tag]:
        """All tags, by name."""
        return [Tag(**row) for row in _native.tags(self.handle)]

    # The whole

    def head(self) -> str:
        """The id of the newest commit: kept elsewhere, it shows whether history was changed."""
        return _native.head(self.handle)[1]

    def verify(self, *, quick: bool = False, head: Optional[str] = None) -> Report:
        """Reads every record and checks every hash; with ``quick`` all but the documents. ``head`` is the id of a commit
        that must be in the chain.

        >>> from backstory import Archive
        >>> archive = Archive.in_memory()
        >>> _ = archive.save("runs/1.json", {"loss": 0.5})
        >>> archive.verify().ok
        True
        """
        return Report.of(_native.verify(self.handle, quick, head))

    def stats(self) -> Stats:
        """How much there is of what."""
        return Stats(**_native.stats(self.handle))

    def status(self, prefix: str = "") -> List[FileStatus]:
        """How the files at or below ``prefix`` stand to the newest versions of their paths."""
        return [FileStatus(*row) for row in _native.status(self.handle, prefix)]

    def compact(self) -> Tuple[int, int]:
        """Makes the log smaller; nothing in it changes. Its bytes before and after."""
        before, after, _ = _native.compact(self.handle)
        return before, after

    def reindex(self) -> None:
        """Builds the index anew from the log."""
        _native.reindex(self.handle)


def _reopen(root: str, wait: float, read_only: bool) -> Archive:
    return Archive(root, wait=wait, read_only=read_only)


def _by_place(tolerance: Union[float, Mapping[str, float]]) -> List[Tuple[Optional[str], float]]:
    if isinstance(tolerance, Mapping):
        return list(tolerance.items())
    return [(None, tolerance)] if tolerance else []


def _leaf(place: str, text: str, tagged: bool) -> Tuple[str, Any]:
    """Where a leaf is, and its value: a number that JSON does not have is a leaf of its own again."""
    if tagged and place.endswith(_TAG):
        value = decode_canonical(f'{{"$number":{text}}}', True)
        if isinstance(value, float):
            return place[: -len(_TAG)], value
    return place, decode_canonical(text, False)


_TAG = "/$number"


class Batch:
    """Documents that are saved in one commit when the ``with`` block ends: see :meth:`Archive.batch`."""

    def __init__(self, archive: Archive, said: _native.Note) -> None:
        self._archive = archive
        self._said = said
        self._documents: Dict[str, Text] = {}
        #: What the commit did; empty before.
        self.changes = Changes()

    def save(
        self,
        path: StrPath,
        data: Any,
        *,
        default: Optional[Default] = None,
        indent: Union[int, str, None] = 2,
    ) -> None:
        """Adds a document, as :meth:`Archive.save` takes it. What is invalid raises at once."""
        name = self._archive._path(path)
        text = text_of(data, default, indent)
        if name in self._documents:
            raise build("usage", f"{name} is in this commit already", {})
        if text[1] is None:
            _native.canonicalize(text[0], True)
        self._documents[name] = text

    def __len__(self) -> int:
        return len(self._documents)

    def commit(self) -> Changes:
        """Commits what was added; the end of the ``with`` block does it."""
        documents = [(name, *text) for name, text in self._documents.items()]
        if documents:
            self.changes = self._archive._save(documents, self._said)
            self._documents = {}
        return self.changes

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self.commit()
