"""Keeps every version of every JSON document you save, and can prove it.

With one line changed, every file that a program writes has its history::

    from backstory import save_json, load_json

    save_json({"loss": 0.5}, "runs/run_001.json")
    save_json({"loss": 0.25}, "runs/run_001.json", message="longer")
    load_json("runs/run_001.json")                 # the file on disk
    load_json("runs/run_001.json", version=1)      # as it was

:class:`Archive` has the history, differences, rollback and everything else. ``backstory.aio`` has the same names to be
awaited. Messages go to the logger ``backstory``.
"""

import os as _os

from . import _native, errors
from .archive import Archive, Batch
from .comparing import Diff, Difference
from .encoding import default
from .errors import (
    AlreadyExistsError,
    BackstoryError,
    BusyError,
    ConflictError,
    CorruptError,
    InvalidDocumentError,
    IoError,
    NoArchiveError,
    NotFoundError,
    OutcomeUnknownError,
    UnsupportedError,
    UsageError,
)
from .json_files import load_json, save_json
from .records import (
    BlameLine,
    Change,
    Changes,
    Commit,
    FileEvent,
    FileStatus,
    Finding,
    Found,
    Loss,
    Match,
    Repaired,
    Report,
    Rows,
    Series,
    Stats,
    Step,
    Tag,
    Version,
    Versions,
)

__version__: str = _native.VERSION

__all__ = [
    "save_json",
    "load_json",
    "default",
    "Archive",
    "Batch",
    "Version",
    "Versions",
    "Change",
    "Changes",
    "Commit",
    "Tag",
    "Diff",
    "Difference",
    "Series",
    "BlameLine",
    "Found",
    "Match",
    "Rows",
    "Report",
    "Finding",
    "Loss",
    "Repaired",
    "Step",
    "Stats",
    "FileEvent",
    "FileStatus",
    "errors",
    *errors.__all__,
]

if hasattr(_os, "register_at_fork"):
    # A fork waits until no thread is at work in the library: see python/src/gate.rs.
    _os.register_at_fork(
        before=_native.before_fork,
        after_in_parent=_native.after_fork,
        after_in_child=_native.after_fork,
    )
