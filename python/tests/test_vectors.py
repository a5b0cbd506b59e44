"""``tests/vectors/``: what the Rust tests check too."""

import json
import pathlib

import pytest

import backstory
from backstory import Archive, _native

VECTORS = json.loads((pathlib.Path(__file__).parents[2] / "tests" / "vectors" / "documents.json").read_text("utf-8"))


@pytest.mark.parametrize("row", VECTORS["accepted"], ids=lambda row: row["name"])
def test_canonical_forms_and_ids(row):
    text = row["text"].encode()
    assert _native.canonicalize(text, row["nan"]).decode() == row["canonical"]
    assert _native.object_id(text, row["nan"]) == row["id"]
    archive = Archive.in_memory()
    assert archive.save("a", text).id == row["id"]
    assert archive.load_bytes("a") == text
    assert archive.load_bytes("a", form="canonical").decode() == row["canonical"]
    # What Python makes of it is the same document, where Python's numbers can hold it.
    if "that no double has" not in row["name"]:
        data = json.loads(text)
        assert archive.save("b", json.dumps(data) if isinstance(data, str) else data).id == row["id"]


@pytest.mark.parametrize("row", VECTORS["refused"], ids=lambda row: row["name"])
def test_what_is_refused(row):
    with pytest.raises(backstory.InvalidDocumentError):
        _native.canonicalize(row["text"].encode(), False)
