"""The exceptions mirror the errors of the Rust library."""

import pathlib
import pickle
import re

import pytest

import backstory
from backstory import errors


def rust_kinds():
    """The names that the native part has for the kinds of errors."""
    source = pathlib.Path(__file__).parents[1] / "src" / "error.rs"
    return re.findall(r'ErrorKind::\w+ => "([a-z-]+)"', source.read_text())


def test_each_kind_has_a_class_of_its_own():
    kinds = rust_kinds()
    assert len(kinds) == 11
    assert {errors.build(kind, "no", {}).__class__ for kind in kinds} == set(errors._KINDS.values())


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        ("usage", ValueError),
        ("not-found", LookupError),
        ("no-archive", errors.NotFoundError),
        ("already-exists", FileExistsError),
        ("invalid-document", ValueError),
        ("io", OSError),
        ("outcome-unknown", errors.IoError),
        ("busy", TimeoutError),
    ],
)
def test_each_is_what_a_program_expects(kind, builtin):
    error = errors.build(kind, "no", {})
    assert isinstance(error, builtin) and isinstance(error, backstory.BackstoryError) and str(error) == "no"


def test_system_errors_have_their_number_and_class():
    error = errors.build("io", "could not write a", {"errno": 13})
    assert isinstance(error, PermissionError) and isinstance(error, errors.IoError)
    assert (error.errno, str(error)) == (13, "[Errno 13] could not write a")
    full = errors.build("outcome-unknown", "no", {"errno": 28})
    assert type(full) is errors.OutcomeUnknownError and full.errno == 28


def test_they_survive_pickling():
    for kind, fields in [("io", {"errno": 13}), ("conflict", {"path": "a", "version": 3}), ("usage", {})]:
        error = errors.extended(errors.build(kind, "no", fields), "more")
        error.file_written = False
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error) and str(back) == str(error) and "no; more" in str(back)
        assert back.file_written is False and all(getattr(back, name) == fields[name] for name in fields)
    assert str(pickle.loads(pickle.dumps(errors.UsageError("made by hand")))) == "made by hand"
