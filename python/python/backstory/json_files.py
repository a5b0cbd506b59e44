"""``save_json`` and ``load_json``: a JSON file with its history."""

from __future__ import annotations

import datetime
import json
import os
from typing import Any, Mapping, Optional, Tuple, Type, Union

from . import _native
from .archive import Archive, spec_of
from .encoding import Default, Text, encode
from .errors import BackstoryError, OutcomeUnknownError, extended
from .handles import absolute, existing, find_root, forget, log, pass_on_notices, shared
from .notes import note
from .records import Change

StrPath = Union[str, "os.PathLike[str]"]


def save_json(
    data: Any,
    path: StrPath,
    *,
    message: Optional[str] = None,
    author: Optional[str] = None,
    meta: Optional[Mapping[str, Any]] = None,
    if_version: Optional[int] = None,
    archive: Union[Archive, StrPath, None] = None,
    provenance: bool = False,
    default: Optional[Default] = None,
    indent: Union[int, str, None] = 2,
    sort_keys: bool = False,
    ensure_ascii: bool = False,
    skipkeys: bool = False,
    allow_nan: bool = True,
    check_circular: bool = True,
    separators: Optional[Tuple[str, str]] = None,
    cls: Optional[Type[json.JSONEncoder]] = None,
) -> Change:
    """Writes ``data`` to a JSON file and keeps the version.

    The file is what ``json.dump(data, file, indent=2, ensure_ascii=False)`` writes, in UTF-8, through a temporary file in
    the same folder; missing folders are made. ``default``, ``indent`` and the other arguments of ``json.dump`` mean what
    they mean there.

    >>> from backstory import save_json, load_json
    >>> save_json({"loss": 0.5}, "runs/run_001.json")
    Change('runs/run_001.json@1', saved)
    >>> save_json({"loss": 0.25}, "runs/run_001.json", message="longer", meta={"epochs": 20})
    Change('runs/run_001.json@2', saved)
    >>> load_json("runs/run_001.json", version=1)
    {'loss': 0.5}

    ``message``, ``author`` and ``meta`` (a dictionary) stay with the version; the author is ``$BACKSTORY_AUTHOR`` or the
    login name if none is given. With ``if_version`` it is saved only if the newest version is that one (0: there is
    none), else :class:`~backstory.ConflictError` is raised. With ``provenance`` the metadata say where it comes from: git
    commit, command line without secrets, host, user, versions.

    The archive is ``archive`` (an :class:`~backstory.Archive`, or the folder that holds ``.backstory``), else
    ``$BACKSTORY_ARCHIVE``, else the nearest above the file; where there is none, one is made at the root of the project
    and that is said in the log. A file that stands at ``path`` and is not in the archive becomes a version of its own
    first; one that is no JSON is renamed to ``FILE.unsaved-<time>``.

    The version is on disk, synced, before the file is replaced. So where the archive cannot be written nothing is: the
    exception says so, and its ``file_written`` is ``False``. Where the file cannot be replaced after that, ``archived``
    names the version. The file itself is not synced; after a power cut it may be the old one, and the archive has both.

    Raises what ``json.dump`` and ``open`` raise (``TypeError``, ``ValueError``, ``PermissionError``, ``OSError`` …), and
    :class:`~backstory.BackstoryError` for the rest. Duplicate member names, as of ``{1: "a", "1": "b"}``, and nesting over
    1,024 levels are refused.
    """
    text = encode(
        data,
        default=default,
        indent=indent,
        sort_keys=sort_keys,
        ensure_ascii=ensure_ascii,
        skipkeys=skipkeys,
        allow_nan=allow_nan,
        check_circular=check_circular,
        separators=separators,
        cls=cls,
    )
    return store(text, path, message, author, meta, if_version, archive, provenance)


def store(
    text: Text,
    path: StrPath,
    message: Optional[str],
    author: Optional[str],
    meta: Optional[Mapping[str, Any]],
    if_version: Optional[int],
    archive: Union[Archive, StrPath, None],
    provenance: bool,
) -> Change:
    """Saves text that was encoded already."""
    file = absolute(path)
    handle: Optional[_native.Handle] = None
    try:
        if isinstance(archive, Archive):
            handle = archive.handle
        else:
            root, create = find_root(file, archive)
            handle = shared(root, create=create)
        said = note(message, author, meta, None, provenance, handle.root if provenance else None)
        row, first, aside, error = _native.save_file(handle, file, text[0], text[1], said, if_version)
    except BackstoryError as cause:
        if handle is not None and isinstance(cause, OutcomeUnknownError):
            forget(handle)
        failed = extended(cause, f"{os.fsdecode(path)} was not written")
        failed.file_written = False
        raise failed from None
    change = Change.of(row)
    if first is not None:
        log.info("saved what was in %s as %s", file, Change.of(first).rev)
    for name in aside:
        log.warning("what was in %s could not be saved: it is %s now", file, name)
    pass_on_notices(handle)
    if error is not None:
        failed = extended(error, f"the archive has the content as {change.rev}, but the file was not written")
        failed.file_written, failed.archived = False, change.rev
        raise failed
    return change


def load_json(
    path: StrPath,
    *,
    version: Optional[int] = None,
    at: Union[str, datetime.date, None] = None,
    rev: Optional[str] = None,
    archive: Union[Archive, StrPath, None] = None,
    **kwargs: Any,
) -> Any:
    """Reads a JSON file, or one of its versions.

    Without ``version``, ``at`` or ``rev`` it is the file on disk, read as ``json.load`` reads it. ``version`` is a number
    (-1 is the one before the newest), ``at`` a time, or a date for the end of that day in UTC, ``rev`` what may stand
    behind the ``@`` of a revision: a tag, or ``b3:`` and the beginning of an id. Other arguments are those of
    ``json.load``.

    >>> from backstory import save_json, load_json
    >>> for loss in (0.5, 0.25):
    ...     _ = save_json({"loss": loss}, "runs/run_002.json")
    >>> load_json("runs/run_002.json")
    {'loss': 0.25}
    >>> load_json("runs/run_002.json", version=-1)
    {'loss': 0.5}

    Raises ``FileNotFoundError``, ``json.JSONDecodeError`` and what else ``json.load`` raises, and for versions
    :class:`~backstory.NotFoundError` and other :class:`~backstory.BackstoryError`.
    """
    spec = spec_of(version, at, rev)
    if spec is None:
        with open(path, encoding="utf-8") as file:
            return json.load(file, **kwargs)
    name = absolute(path)
    handle = archive.handle if isinstance(archive, Archive) else existing(name, archive)
    text, _ = _native.load(handle, (_native.path_of(handle, name), spec), "source", None)
    pass_on_notices(handle)
    return json.loads(text.decode("utf-8"), **kwargs)
