"""What a commit says of itself: message, author, metadata, time, and where it comes from."""

from __future__ import annotations

import datetime
import getpass
import json
import os
import platform
import sys
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from . import _native
from .errors import build

Moment = Union[str, datetime.datetime]

#: Message, author, metadata as JSON text, microseconds since the Unix epoch.
Note = Tuple[Optional[str], Optional[str], Optional[str], Optional[int]]

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def note(
    message: Optional[str] = None,
    author: Optional[str] = None,
    meta: Optional[Mapping[str, Any]] = None,
    time: Optional[Moment] = None,
    provenance: bool = False,
    root: Optional[str] = None,
) -> Note:
    if author is None:
        author = _login("BACKSTORY_AUTHOR", "USER", "LOGNAME", "USERNAME")
    if provenance:
        meta = {**(meta or {}), "provenance": collect_provenance(root)}
    text = None
    if meta:
        text = json.dumps(dict(meta), allow_nan=False, ensure_ascii=False)
    return message, author, text, None if time is None else microseconds(time)


def _login(*names: str) -> Optional[str]:
    for name in names:
        value = os.environ.get(name)
        if value:
            return value
    return None


def microseconds(time: Moment) -> int:
    """Microseconds since the Unix epoch. A time without a zone is local; text is ISO 8601, a plain date is its first
    moment in UTC."""
    if isinstance(time, str):
        time = _parse(time)
    elif not isinstance(time, datetime.datetime):
        # A plain date: its first moment in UTC.
        time = datetime.datetime(time.year, time.month, time.day, tzinfo=datetime.timezone.utc)
    return (time.astimezone(datetime.timezone.utc) - EPOCH) // datetime.timedelta(microseconds=1)


def _parse(text: str) -> datetime.datetime:
    try:
        if len(text) == 10:
            return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise build("usage", f"{text!r} is not a time such as 2026-11-01T12:00:00Z", {}) from None


def moment(time: int) -> datetime.datetime:
    """A time in UTC, from microseconds since the Unix epoch."""
    try:
        return EPOCH + datetime.timedelta(microseconds=time)
    except OverflowError:
        edge = datetime.datetime.max if time > 0 else datetime.datetime.min
        return edge.replace(tzinfo=datetime.timezone.utc)


def collect_provenance(root: Optional[str] = None) -> Dict[str, Any]:
    """Where what this process saves comes from: git commit and whether tracked files differ from it, command line, host,
    user, and the versions of Python and of this package.

    git is asked about the folder of the script, then about the current one, then about the archive's. The command line
    is kept without what looks like a secret: values of options, variables, headers and members whose names say so
    (``--password x``, ``API_KEY=x``, ``Authorization: x``), what stands in front of the ``@`` of a URL, and long keys.
    A secret that has none of these signs cannot be told from other text: pass it by environment or file.
    """
    folders: List[str] = []
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(script, str):
        folders.append(os.path.dirname(os.path.abspath(script)))
    folders.append(os.getcwd())
    if root is not None:
        folders.append(root)
    command = getattr(sys, "orig_argv", None) or [sys.executable, *sys.argv]
    try:
        user: Optional[str] = getpass.getuser()
    except (ImportError, KeyError, OSError):
        user = None
    text = _native.provenance(
        [part.encode("utf-8", "replace").decode("utf-8") for part in command],
        folders,
        platform.node() or None,
        user,
        platform.python_version(),
    )
    found: Dict[str, Any] = json.loads(text)
    return found
