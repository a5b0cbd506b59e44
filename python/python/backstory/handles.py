"""Which archive a file belongs to, and the archives that this process has open."""

from __future__ import annotations

import atexit
import logging
import os
from typing import Dict, Optional, Tuple

from . import _native
from .errors import build

log = logging.getLogger("backstory")

#: So many archives are kept open for ``save_json``; those that were opened first go first.
MOST_OPEN = 16

_open: Dict[str, _native.Handle] = {}
atexit.register(_open.clear)


def absolute(path: "os.PathLike[str] | str") -> str:
    """The absolute name of a file; ``..`` is left to the system, which knows where links lead."""
    name = os.fsdecode(path)
    return name if os.path.isabs(name) else os.path.join(os.getcwd(), name)


def _variable(name: str) -> Optional[str]:
    return os.environ.get(name) or None


def open_handle(
    root: str, *, create: bool = False, wait: float = 30.0, read_only: bool = False
) -> Tuple[_native.Handle, bool]:
    """Opens the archive of a folder, or makes it; says whether it was made."""
    cache = _variable("XDG_CACHE_HOME")
    if cache is None or not os.path.isabs(cache):
        home = _variable("HOME")
        cache = os.path.join(home, ".cache") if home else None
    handle, made = _native.Handle.open(
        root,
        create,
        wait,
        read_only,
        _variable("BACKSTORY_INDEX"),
        os.path.join(cache, "backstory") if cache else None,
    )
    if made:
        log.warning("made an archive in %s", os.path.join(root, ".backstory"))
    pass_on_notices(handle)
    return handle, made


def pass_on_notices(handle: _native.Handle) -> None:
    for notice in handle.take_notices():
        log.warning("%s", notice)


def shared(root: str, *, create: bool = False) -> _native.Handle:
    """The handle that this process keeps for a folder."""
    handle = _open.get(root)
    if handle is not None and handle.stands():
        return handle
    handle, _ = open_handle(root, create=create)
    for oldest in list(_open)[: len(_open) + 1 - MOST_OPEN]:
        _open.pop(oldest, None)
    _open[root] = handle
    return handle


def forget(handle: _native.Handle) -> None:
    """The next call opens the archive anew."""
    for root, kept in list(_open.items()):
        if kept is handle:
            _open.pop(root, None)


def find_root(file: str, named: "os.PathLike[str] | str | None" = None) -> Tuple[str, bool]:
    """The folder of the archive for an absolute file, and whether one may be made there: the one that was named, by
    argument or by ``BACKSTORY_ARCHIVE``; else the nearest above the file; else the root of the file's project."""
    if named is None:
        named = _variable("BACKSTORY_ARCHIVE")
    if named is not None:
        return absolute(named), False
    root, found = _native.place_of(file)
    return root, not found


def existing(file: str, named: "os.PathLike[str] | str | None" = None) -> _native.Handle:
    """The handle of the archive for a file, which must be there."""
    root, missing = find_root(file, named)
    if missing:
        message = f"there is no archive in or above {os.path.dirname(file)}"
        raise build("no-archive", message, {})
    return shared(root)
