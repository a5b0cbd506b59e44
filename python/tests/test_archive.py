"""``Archive``: what the Rust library does, in Python."""

import dataclasses
import datetime
import enum
import json
import os
import pathlib

import numpy
import pytest

import backstory
from backstory import Archive, save_json


@pytest.fixture
def archive(project):
    return Archive(project, create=True)


def losses(archive, path="runs/1.json", values=(0.5, 0.25, 0.125)):
    return [archive.save(path, {"loss": loss}, message=f"loss {loss}", time=f"2026-11-0{day}T12:00:00Z") for day, loss in enumerate(values, 1)]


def test_saving_takes_data_text_and_bytes(archive):
    archive.save("a", {"b": 1, "a": [1.0, None]})
    assert archive.load_bytes("a") == b'{\n  "b": 1,\n  "a": [\n    1.0,\n    null\n  ]\n}'
    for text in ('{ "x":1 }', b'{ "x":1 }', bytearray(b'{ "x":1 }')):
        archive.save("b", text)
        assert archive.load_bytes("b") == b'{ "x":1 }'
    assert archive.version("b").version == 1
    assert archive.load_bytes("b", form="pretty") == b'{\n  "x": 1\n}\n'
    assert archive.load_bytes("b", form="compact") == b'{"x":1}' == archive.load_bytes("b", form="canonical")
    with pytest.raises(backstory.InvalidDocumentError) as caught:
        archive.save("c", '{"a": 1,}')
    assert (caught.value.line, caught.value.column) == (1, 9) and caught.value.remedy
    with pytest.raises(backstory.UsageError):
        archive.save("../c", {})


def test_conditions(archive):
    archive.save("a", [1], if_absent=True)
    with pytest.raises(backstory.ConflictError):
        archive.save("a", [2], if_absent=True)
    with pytest.raises(backstory.ConflictError) as caught:
        archive.save("a", [2], if_version=7)
    assert caught.value.version == 1
    assert archive.save("a", "[ 1 ]", ignore_format=True).status == "unchanged"
    assert archive.save("a", "[ 1 ]").status == "reformatted"


def test_a_batch_is_one_commit_or_none(archive):
    with archive.batch(message="both", meta={"run": 1}) as b:
        b.save("a", {"port": 80})
        b.save("b", '{"port": 81}')
        assert len(b) == 2 and b.changes == []
    assert {change.commit for change in b.changes} == {archive.head()}
    commit = archive.commits()[0]
    assert (commit.message, commit.meta, [v.rev for v in commit.changes]) == ("both", {"run": 1}, ["a@1", "b@1"])
    with pytest.raises(ZeroDivisionError):
        with archive.batch() as b:
            b.save("a", {"port": 82})
            1 / 0
    with pytest.raises(backstory.InvalidDocumentError):
        with archive.batch() as b:
            b.save("a", {"port": 82})
            b.save("b", "{")
    with pytest.raises(backstory.UsageError):
        with archive.batch() as b:
            b.save("a", 1)
            b.save("a", 2)
    assert [v.rev for v in archive.list()] == ["a@1", "b@1"]


def test_history_and_its_objects(archive):
    losses(archive)
    archive.save("other", [1])
    versions = archive.history("runs/1.json")
    assert [v.rev for v in versions] == ["runs/1.json@3", "runs/1.json@2", "runs/1.json@1"]
    version = versions[0]
    assert version.time == datetime.datetime(2026, 11, 3, 12, tzinfo=datetime.timezone.utc)
    assert version.recorded > version.time or version.recorded.year >= 2026
    assert repr(version) == "Version('runs/1.json@3', save, 2026-11-03 12:00:00 UTC, by ops, 'loss 0.125')"
    assert version.load() == {"loss": 0.125} and json.loads(version.text()) == version.load()
    assert version == archive.version("runs/1.json") and len({version, archive.version("runs/1.json@3")}) == 1
    assert [v.path for v in archive.history(limit=2)] == ["other", "runs/1.json"]
    day = datetime.datetime(2026, 11, 2, tzinfo=datetime.timezone.utc)
    assert [v.version for v in archive.history("runs/1.json", since=day)] == [3, 2]
    assert [v.version for v in archive.history("runs/1.json", until="2026-11-02T12:00:00Z")] == [2, 1]
    assert archive.load("runs/1.json", at=datetime.date(2026, 11, 1)) == {"loss": 0.5}
    assert archive.load("runs/1.json@2026-11-02") == {"loss": 0.25}
    assert [row["version"] for row in versions.to_dicts()] == [3, 2, 1]
    with pytest.raises(backstory.NotFoundError):
        archive.history("nothing")


def test_diff_as_objects_and_text(archive):
    archive.save("a", {"loss": 0.5, "runs": [{"id": 1}, {"id": 2}], "gone": True})
    archive.save("a", {"loss": 0.25, "runs": [{"id": 2}], "new": [1]})
    diff = archive.diff("a@1", "@2")
    assert str(diff).splitlines()[-1] == "1 changed, 1 added, 2 removed"
    changed = {change.path: change for change in diff}
    assert (changed["/loss"].old, changed["/loss"].new, changed["/loss"].difference) == (0.5, 0.25, -0.25)
    assert (changed["/new"].op, changed["/new"].old, changed["/new"].new) == ("added", None, [1])
    assert diff and len(diff) == 4 and repr(diff) == "Diff('a@1', 'a@2', 4 differences)"
    assert diff.merge == {"gone": None, "loss": 0.25, "new": [1], "runs": [{"id": 2}]}
    assert {step["op"] for step in diff.patch} == {"replace", "add", "remove"}
    assert not archive.diff("a@2", "a")
    assert len(archive.diff("a@1", "@2", ignore=["/runs", "/new", "/gone"], tolerance={"/loss": 0.3})) == 0
    assert archive.diff(archive.version("a", 1), archive.version("a", 2)).hidden == 0
    assert archive.version("a", 1).diff(archive.version("a", 2)).text == diff.text
    archive.save("n", [float("nan"), 1])
    archive.save("n", [2, 1])
    assert str(archive.diff("n@1", "@2").changes[0].old) == "nan"
    archive.save("m", {"a": 1})
    archive.save("m", {"a": None})
    with pytest.raises(ValueError, match="merge patch"):
        archive.diff("m@1", "@2").merge


def test_diff_against_the_file(archive, project):
    save_json({"a": 1}, "f.json")
    (project / "f.json").write_text('{"a": NaN}')
    diff = archive.diff("f.json")
    assert (diff.old, diff.new, diff.changes[0].path) == ("f.json@1", "f.json", "/a")
    assert archive.status() == [("f.json", 1, "invalid")]
    (project / "f.json").unlink()
    with pytest.raises(FileNotFoundError):
        archive.diff("f.json")


def test_rollback_writes_the_file_byte_for_byte(archive, project, caplog):
    (project / "a.json").write_bytes(b'{"z":1,   "a":2}')
    save_json({"z": 2}, "a.json")
    archive.rollback("a.json", message="back", if_version=2)
    assert (project / "a.json").read_bytes() == b'{"z":1,   "a":2}'
    assert archive.version("a.json").message == "back" and archive.version("a.json").of == 1
    (project / "a.json").write_text("[3]")
    changes = archive.rollback("a.json", to=2)
    assert [c.rev for c in changes.first] == ["a.json@4"] and changes[0].rev == "a.json@5"
    assert changes.files == [("a.json", str(project / "a.json"), "written", None)]
    (project / "a.json").write_text("broken")
    changes = archive.rollback("a.json", to="@1")
    assert changes.files[0].event == "moved-aside"
    assert pathlib.Path(changes.files[0].aside).read_text() == "broken" and "could not be saved" in caplog.text
    archive.rollback("a.json", to=2, archive_only=True)
    assert (project / "a.json").read_bytes() == b'{"z":1,   "a":2}'
    archive.rollback("a.json", to=1, output="copy.json")
    assert (project / "copy.json").read_bytes() == b'{"z":1,   "a":2}'
    with pytest.raises(backstory.ConflictError):
        archive.rollback("a.json", to=2, if_version=1)


def test_undo_and_redo(archive, project):
    save_json([1], "a.json")
    save_json([2], "a.json")
    archive.undo()
    assert (project / "a.json").read_text() == "[\n  1\n]"
    archive.redo()
    assert archive.load("a.json") == [2]
    with pytest.raises(backstory.ConflictError):
        archive.undo(1)


def test_names_tags_and_deletions(archive):
    losses(archive)
    archive.tag("best", "runs/1.json@2")
    archive.tag("paper")
    assert archive.load("runs/1.json@best") == {"loss": 0.25}
    assert [(t.name, t.path, t.version) for t in archive.tags()] == [("best", "runs/1.json", 2), ("paper", None, None)]
    archive.delete_tag("best")
    with pytest.raises(backstory.NotFoundError):
        archive.load("runs/1.json@best")
    archive.rename("runs/1.json", "runs/one.json")
    assert len(archive.history("runs/one.json")) == 4
    assert len(archive.history("runs/one.json", follow=False)) == 1
    archive.delete("runs/one.json")
    assert archive.list() == [] and len(archive.list(deleted=True)) == 2
    with pytest.raises(backstory.NotFoundError, match="deleted"):
        archive.load("runs/one.json")
    archive.undelete("runs/one.json")
    assert archive.load("runs/one.json") == {"loss": 0.125}


def test_series_blame_find_identify_sql(archive):
    losses(archive)
    series = archive.series("runs/1.json", "/loss", "/no")
    assert series["/loss"] == [0.5, 0.25, 0.125] and series["/no"] == [None] * 3
    assert series["version"] == [1, 2, 3] and [t.day for t in series["time"]] == [1, 2, 3]
    archive.save("many", {"runs": [{"a": 1}, {"a": 2}]})
    assert archive.series("many", "/runs/*/a") == {
        "version": [1],
        "time": [archive.version("many").time],
        "/runs/0/a": [1],
        "/runs/1/a": [2],
    }
    lines = archive.blame("runs/1.json")
    assert [(line.pointer, line.value, line.version.version) for line in lines] == [("/loss", 0.125, 3)]
    found = archive.find("@.loss < 0.3", which="all")
    assert [f.version.version for f in found] == [3, 2]
    assert archive.find("$.runs[*].a")[0].values == [("/runs/0/a", 1), ("/runs/1/a", 2)]
    assert archive.find("$.loss", prefix="man") == []
    assert archive.identify({"loss": 0.25})[0].version.rev == "runs/1.json@2"
    assert [m.same_bytes for m in archive.identify('{"loss":0.25}')] == [False]
    rows = archive.sql("SELECT path, max(version) AS n FROM versions GROUP BY path ORDER BY path")
    assert rows == [{"path": "many", "n": 1}, {"path": "runs/1.json", "n": 3}] and rows.columns == ["path", "n"]
    with pytest.raises(backstory.UsageError, match="SQL"):
        archive.sql("DROP TABLE paths")


def test_the_archive_as_a_whole(archive, project):
    losses(archive)
    report = archive.verify(head=archive.head())
    assert report and report.commits == 3 and report.findings == [] and report.head == archive.head()
    assert not archive.verify(head="0" * 64)
    assert archive.stats().versions == 3
    before, after = archive.compact()
    assert before > 0 and after > 0
    archive.reindex()
    assert archive.load("runs/1.json", 1) == {"loss": 0.5}
    archive.patch("runs/1.json", {"loss": 1})
    archive.patch("runs/1.json", [{"op": "add", "path": "/n", "value": 2}])
    assert archive.load("runs/1.json") == {"loss": 1, "n": 2}
    archive.write("runs/1.json@1", "out.json")
    assert json.loads((project / "out.json").read_text()) == {"loss": 0.5}


def test_damage_is_told(archive, project):
    losses(archive)
    log = next((project / ".backstory" / "log").glob("*.seg"))
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    fresh = Archive(project)
    report = fresh.verify()
    assert not report.ok and report.findings[0].segment
    with pytest.raises(backstory.CorruptError):
        for number in (1, 2, 3):
            fresh.load("runs/1.json", number)
    repaired = Archive.repair(project)
    assert repaired.steps and repaired.lost and repaired.report.ok
    assert Archive(project).verify().losses == repaired.lost
    assert Archive.repair(project).steps == []


def test_opening(project):
    with pytest.raises(backstory.NoArchiveError):
        Archive(project)
    with pytest.raises(backstory.NoArchiveError):
        Archive.of("a.json")
    made = Archive.of("a.json", create=True)
    assert made.root == str(project) and Archive(project).id == made.id
    assert repr(made) == f"Archive({str(project)!r})"
    reader = Archive(project, read_only=True)
    with pytest.raises(backstory.BackstoryError):
        reader.save("a", 1)
    with Archive(project) as one:
        one.save("a", 1)
    with pytest.raises(backstory.UsageError, match="closed"):
        one.load("a")


def test_in_memory():
    archive = Archive.in_memory()
    losses(archive)
    archive.rollback("runs/1.json")
    archive.undo()
    assert archive.root is None and archive.load("runs/1.json") == {"loss": 0.125}
    with pytest.raises(backstory.UsageError, match="in memory"):
        archive.status()


def test_paths_as_files(archive, project):
    archive.save(project / "sub" / "a.json", [1])
    os.mkdir("sub")
    os.chdir("sub")
    assert archive.load(pathlib.Path("a.json")) == [1]
    assert archive.load(str(project / "sub/a.json")) == [1]
    assert [v.path for v in archive.history(pathlib.Path("a.json"))] == ["sub/a.json"]


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Run:
    name: str
    when: datetime.date
    at: pathlib.Path


def test_the_ready_made_default(archive):
    data = {
        "scalars": [numpy.float32(0.5), numpy.int64(3), numpy.bool_(True), numpy.float64("nan")],
        "array": numpy.arange(4).reshape(2, 2),
        "times": [datetime.datetime(2026, 11, 1, 12), datetime.date(2026, 11, 1), datetime.time(12), numpy.datetime64("2026-11-01")],
        "run": Run("a", datetime.date(2026, 11, 1), pathlib.Path("runs") / "1"),
        "colour": Colour.RED,
    }
    with pytest.raises(TypeError):
        save_json(data, "a.json")
    save_json(data, "a.json", default=backstory.default)
    loaded = backstory.load_json("a.json")
    assert loaded["scalars"][:3] == [0.5, 3, True] and str(loaded["scalars"][3]) == "nan"
    assert loaded["array"] == [[0, 1], [2, 3]]
    assert loaded["times"] == ["2026-11-01T12:00:00", "2026-11-01", "12:00:00", "2026-11-01"]
    assert loaded["run"] == {"name": "a", "when": "2026-11-01", "at": "runs/1"} and loaded["colour"] == "red"
    archive.save("b", data, default=backstory.default)
    for odd in (object(), {1}, numpy.complex64(1j), Run):
        with pytest.raises(TypeError):
            save_json([odd], "c.json", default=backstory.default)


def test_tables_for_notebooks(archive):
    archive.save("<b>", {"x": "<script>"}, message="<i>&", meta={"lr": 0.1})
    archive.save("<b>", {"x": 1})
    html = archive.history("<b>")._repr_html_()
    assert "<table>" in html and "&lt;i&gt;&amp;" in html and "<th>lr</th>" in html and "<b>" not in html
    assert "&lt;script&gt;" in archive.diff("<b>@1", "@2")._repr_html_()
    assert "<td>2</td>" in archive.series("<b>", "/x")._repr_html_()
    assert "<td>1</td>" in archive.sql("SELECT count(*) AS n FROM paths")._repr_html_()
    assert archive.version("<b>")._repr_html_().count("<tr>") == 2
    assert "rolled-back" in archive.rollback("<b>")._repr_html_()
