"""What can go wrong, one exception for each kind of error of the Rust library.

Each is also the built-in exception that a program would expect there, so that ``except FileNotFoundError`` and
``except OSError`` go on working::

    BackstoryError
    ├── UsageError             also ValueError      the call itself makes no sense
    ├── NotFoundError          also LookupError     no such path, version, tag or commit
    │   └── NoArchiveError                          no archive where one was named
    ├── AlreadyExistsError     also FileExistsError an archive stands where one was to be made
    ├── ConflictError                               a condition did not hold
    ├── InvalidDocumentError   also ValueError      not a document that can be archived
    ├── CorruptError                                the archive is not what was written
    ├── UnsupportedError                            the archive needs a newer version of Backstory
    ├── IoError                also OSError         the system refused
    │   └── OutcomeUnknownError                     a write failed, and what is on disk is unknown
    └── BusyError              also TimeoutError    another writer held the lock for too long

An ``IoError`` is an instance of ``PermissionError``, ``IsADirectoryError`` and the like too, as its ``errno`` says.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple, Type

__all__ = [
    "BackstoryError",
    "UsageError",
    "NotFoundError",
    "NoArchiveError",
    "AlreadyExistsError",
    "ConflictError",
    "InvalidDocumentError",
    "CorruptError",
    "UnsupportedError",
    "IoError",
    "OutcomeUnknownError",
    "BusyError",
]


class BackstoryError(Exception):
    """What all errors of this package have in common."""

    #: Of a ``save_json`` that failed: was the file written all the same? ``None`` where no file was to be written.
    file_written: Optional[bool] = None
    #: Of a call that failed after its commit: the version that the archive has, as in ``runs/1.json@3``.
    archived: Optional[str] = None

    _built: Tuple[str, str, Dict[str, Any]]

    def __reduce__(self) -> Any:
        built = getattr(self, "_built", None)
        if built is None:
            return super().__reduce__()
        state = {"file_written": self.file_written, "archived": self.archived}
        return build, built, state


class UsageError(BackstoryError, ValueError):
    """The call itself makes no sense: a bad path, a bad revision, a bad name."""


class NotFoundError(BackstoryError, LookupError):
    """No such path, version, tag or commit."""


class NoArchiveError(NotFoundError):
    """No archive where one was named, or above the file."""


class AlreadyExistsError(BackstoryError, FileExistsError):
    """An archive stands where one was to be made."""


class ConflictError(BackstoryError):
    """A condition did not hold, or what was to be changed has changed since."""

    #: The path that is in the way; empty where it is a tag.
    path: str = ""
    #: Its newest version, 0 for none.
    version: int = 0


class InvalidDocumentError(BackstoryError, ValueError):
    """The text is not a document that can be archived."""

    #: The path or file.
    path: str = ""
    #: The JSON Pointer of the place.
    pointer: str = ""
    #: Line and column of the place, from 1.
    line: int = 0
    column: int = 0
    #: What to do about it.
    remedy: str = ""


class CorruptError(BackstoryError):
    """The archive is not what was written; ``Archive.verify`` says more."""

    #: The file, relative to the archive's folder, and the byte in it.
    file: str = ""
    offset: Optional[int] = None


class UnsupportedError(BackstoryError):
    """The archive needs a newer version of Backstory."""


class IoError(BackstoryError, OSError):
    """The system refused."""


class OutcomeUnknownError(IoError):
    """A write or sync failed: nothing was acknowledged, and the archive must be opened again."""


class BusyError(BackstoryError, TimeoutError):
    """Another writer held the lock for too long."""


_KINDS: Dict[str, Type[BackstoryError]] = {
    "usage": UsageError,
    "not-found": NotFoundError,
    "no-archive": NoArchiveError,
    "already-exists": AlreadyExistsError,
    "conflict": ConflictError,
    "invalid-document": InvalidDocumentError,
    "corrupt": CorruptError,
    "unsupported": UnsupportedError,
    "io": IoError,
    "outcome-unknown": OutcomeUnknownError,
    "busy": BusyError,
}

_mixed: Dict[Tuple[Type[BackstoryError], type], Type[BackstoryError]] = {}


def build(kind: str, message: str, fields: Dict[str, Any]) -> BackstoryError:
    """The exception for an error of the library. Called by the native part, and when one is unpickled."""
    cls = _KINDS.get(kind, BackstoryError)
    number = fields.get("errno")
    error: BackstoryError
    if number is not None and issubclass(cls, OSError):
        builtin = type(OSError(number, ""))
        if builtin is not OSError:
            key = (cls, builtin)
            if key not in _mixed:
                _mixed[key] = type(cls.__name__, key, {"__module__": __name__, "__doc__": cls.__doc__})
            cls = _mixed[key]
        error = cls(number, message)
    else:
        error = cls(message)
        for name, value in fields.items():
            setattr(error, name, value)
    error._built = (kind, message, fields)
    return error


def extended(error: BackstoryError, more: str) -> BackstoryError:
    """The same error with more to say."""
    kind, message, fields = error._built
    longer = build(kind, f"{message}; {more}", fields)
    longer.file_written, longer.archived = error.file_written, error.archived
    return longer
