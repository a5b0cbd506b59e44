"""The same names to be awaited: ``from backstory.aio import save_json, load_json, Archive``.

Work is done in threads of the event loop's default executor, without the GIL where it is more than a moment. Data are
encoded before the call gives way to others, so what is saved is what they were when it was made::

    import asyncio
    from backstory.aio import Archive, load_json, save_json

    async def main():
        await save_json({"loss": 0.5}, "runs/run_001.json")
        print(await load_json("runs/run_001.json"))
        archive = await Archive.of("runs/run_001.json")
        print(await archive.history("runs/run_001.json"))

    asyncio.run(main())
"""

from __future__ import annotations

import asyncio
import functools
import json
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Coroutine, Mapping, Optional, Tuple, Type, TypeVar, Union, cast

from . import _native
from . import archive as _sync
from .archive import StrPath
from .encoding import Default, encode
from .json_files import load_json as _load_json
from .json_files import store
from .records import Change, Changes, Repaired

if TYPE_CHECKING:
    from typing_extensions import Concatenate, ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")

__all__ = ["save_json", "load_json", "Archive", "Batch"]


async def _in_thread(function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """A commit that has begun is not broken off: where the task is cancelled the thread goes on to its end."""
    return await asyncio.to_thread(function, *arguments, **named)


async def save_json(
    data: Any,
    path: StrPath,
    *,
    message: Optional[str] = None,
    author: Optional[str] = None,
    meta: Optional[Mapping[str, Any]] = None,
    if_version: Optional[int] = None,
    archive: Union[Archive, _sync.Archive, StrPath, None] = None,
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
    """:func:`backstory.save_json`, to be awaited."""
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
    place = archive.sync if isinstance(archive, Archive) else archive
    return await _in_thread(store, text, path, message, author, meta, if_version, place, provenance)


async def load_json(path: StrPath, *, archive: Union[Archive, _sync.Archive, StrPath, None] = None, **kwargs: Any) -> Any:
    """:func:`backstory.load_json`, to be awaited."""
    place = archive.sync if isinstance(archive, Archive) else archive
    return await _in_thread(_load_json, path, archive=place, **kwargs)


def _awaited(
    method: Callable[Concatenate[_sync.Archive, P], T],
) -> Callable[Concatenate[Archive, P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def call(self: Archive, *args: P.args, **kwargs: P.kwargs) -> T:
        return await _in_thread(method, self.sync, *args, **kwargs)

    return cast("Callable[Concatenate[Archive, P], Coroutine[Any, Any, T]]", call)


class Archive:
    """:class:`backstory.Archive` with methods to be awaited; ``sync`` is the archive itself.

    ``Archive("project")`` opens at once; ``await Archive.open("project")`` does not keep the event loop waiting.
    """

    def __init__(
        self,
        path: StrPath = ".",
        *,
        create: bool = False,
        wait: float = 30.0,
        read_only: bool = False,
    ) -> None:
        self.sync = _sync.Archive(path, create=create, wait=wait, read_only=read_only)

    @classmethod
    def _with(cls, sync: _sync.Archive) -> Archive:
        archive = cls.__new__(cls)
        archive.sync = sync
        return archive

    @classmethod
    async def open(
        cls,
        path: StrPath = ".",
        *,
        create: bool = False,
        wait: float = 30.0,
        read_only: bool = False,
    ) -> Archive:
        """The archive of a folder."""
        opened = await _in_thread(_sync.Archive, path, create=create, wait=wait, read_only=read_only)
        return cls._with(opened)

    @classmethod
    async def of(cls, path: StrPath = ".", *, create: bool = False) -> Archive:
        """The archive that a file or folder belongs to."""
        return cls._with(await _in_thread(_sync.Archive.of, path, create=create))

    @staticmethod
    async def repair(path: StrPath = ".") -> Repaired:
        """:meth:`backstory.Archive.repair`, to be awaited."""
        return await _in_thread(_sync.Archive.repair, path)

    @classmethod
    def in_memory(cls) -> Archive:
        """An archive in memory, which ends with its last handle."""
        return cls._with(_sync.Archive.in_memory())

    @property
    def root(self) -> Optional[str]:
        """The folder that holds ``.backstory``; ``None`` in memory."""
        return self.sync.root

    @property
    def id(self) -> str:
        """The archive's identity."""
        return self.sync.id

    def __repr__(self) -> str:
        return f"aio.{self.sync!r}"

    async def save(
        self,
        path: StrPath,
        data: Any,
        *,
        default: Optional[Default] = None,
        indent: Union[int, str, None] = 2,
        **kwargs: Any,
    ) -> Change:
        """:meth:`backstory.Archive.save`, to be awaited."""
        text, unit = _sync.text_of(data, default, indent)
        if unit is not None:
            text = await _in_thread(_native.indent, text, unit)
        return await _in_thread(self.sync.save, path, text, **kwargs)

    def batch(self, **kwargs: Any) -> Batch:
        """:meth:`backstory.Archive.batch`, for ``async with``; ``save`` in the block is not awaited."""
        return Batch(self.sync.batch(**kwargs))

    async def __aenter__(self) -> Archive:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        await self.close()

    close = _awaited(_sync.Archive.close)
    patch = _awaited(_sync.Archive.patch)
    load = _awaited(_sync.Archive.load)
    load_bytes = _awaited(_sync.Archive.load_bytes)
    write = _awaited(_sync.Archive.write)
    version = _awaited(_sync.Archive.version)
    history = _awaited(_sync.Archive.history)
    list = _awaited(_sync.Archive.list)
    commits = _awaited(_sync.Archive.commits)
    diff = _awaited(_sync.Archive.diff)
    series = _awaited(_sync.Archive.series)
    blame = _awaited(_sync.Archive.blame)
    find = _awaited(_sync.Archive.find)
    identify = _awaited(_sync.Archive.identify)
    sql = _awaited(_sync.Archive.sql)
    rollback = _awaited(_sync.Archive.rollback)
    undo = _awaited(_sync.Archive.undo)
    redo = _awaited(_sync.Archive.redo)
    delete = _awaited(_sync.Archive.delete)
    undelete = _awaited(_sync.Archive.undelete)
    rename = _awaited(_sync.Archive.rename)
    tag = _awaited(_sync.Archive.tag)
    delete_tag = _awaited(_sync.Archive.delete_tag)
    tags = _awaited(_sync.Archive.tags)
    head = _awaited(_sync.Archive.head)
    verify = _awaited(_sync.Archive.verify)
    stats = _awaited(_sync.Archive.stats)
    status = _awaited(_sync.Archive.status)
    compact = _awaited(_sync.Archive.compact)
    reindex = _awaited(_sync.Archive.reindex)


class Batch:
    """Documents that are saved in one commit when the ``async with`` block ends."""

    def __init__(self, sync: _sync.Batch) -> None:
        self.sync = sync

    @property
    def changes(self) -> Changes:
        """What the commit did; empty before."""
        return self.sync.changes

    def save(self, path: StrPath, data: Any, **kwargs: Any) -> None:
        """Adds a document: :meth:`backstory.Batch.save`."""
        self.sync.save(path, data, **kwargs)

    async def __aenter__(self) -> Batch:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            await _in_thread(self.sync.commit)
