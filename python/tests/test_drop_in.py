"""``save_json`` and ``load_json`` in place of the plain ones."""

import json
import logging
import os
import resource
import stat
import subprocess
import sys

import plain
import pytest

import backstory
from backstory import Archive, load_json, save_json


def revs(path):
    return [version.rev for version in Archive.of(path).history(path)]


def test_every_save_is_a_version_and_the_file_is_what_json_dump_writes(project):
    for loss in (0.5, 0.25):
        change = save_json({"loss": loss, "näme": "ü"}, "runs/run_001.json", message=f"loss {loss}")
    assert repr(change) == "Change('runs/run_001.json@2', saved)"
    with open("runs/run_001.json", "rb") as file:
        written = file.read()
    assert written == json.dumps({"loss": 0.25, "näme": "ü"}, indent=2, ensure_ascii=False).encode()
    assert load_json("runs/run_001.json") == {"loss": 0.25, "näme": "ü"}
    assert load_json("runs/run_001.json", version=1) == {"loss": 0.5, "näme": "ü"}
    archive = Archive.of("runs/run_001.json")
    assert archive.root == str(project)
    versions = archive.history("runs/run_001.json")
    assert [(v.version, v.message, v.author, v.file) for v in versions] == [
        (2, "loss 0.25", "ops", True),
        (1, "loss 0.5", "ops", True),
    ]
    assert os.listdir("runs") == ["run_001.json"]
    assert archive.load_bytes("runs/run_001.json") == written


def test_the_same_content_makes_no_version_and_the_file_is_written(project):
    save_json([1], "a.json")
    os.unlink("a.json")
    assert save_json([1], "a.json").status == "unchanged"
    assert load_json("a.json") == [1]
    assert revs("a.json") == ["a.json@1"]


def test_a_file_that_was_there_becomes_version_1(project, caplog):
    plain.save_json({"by": "hand"}, "config.json")
    before = open("config.json", "rb").read()
    with caplog.at_level(logging.INFO, "backstory"):
        assert save_json({"by": "program"}, "config.json", message="new").version == 2
    archive = Archive.of("config.json")
    assert archive.load_bytes("config.json", 1) == before
    messages = [v.message for v in archive.history("config.json")]
    assert messages == ["new", "what was on disk before saving"]
    assert "saved what was in" in caplog.text
    # What someone else writes to it later is kept as well, and what is in the archive is not kept twice.
    plain.save_json({"by": "hand again"}, "config.json")
    save_json({"by": "program again"}, "config.json")
    assert [load_json("config.json", version=n)["by"] for n in (3, 4)] == ["hand again", "program again"]
    plain.save_json({"by": "hand"}, "config.json")
    assert save_json({"by": "end"}, "config.json").version == 5


def test_the_same_file_without_an_archive_is_one_version(project):
    plain.save_json([1, 2], "a.json")
    assert save_json([1, 2], "a.json").rev == "a.json@1"


def test_conditions_are_about_what_was_there_before_the_file_was_kept(project):
    plain.save_json([0], "a.json")
    with pytest.raises(backstory.ConflictError) as caught:
        save_json([1], "a.json", if_version=1)
    assert (caught.value.path, caught.value.version, caught.value.file_written) == ("a.json", 0, False)
    assert plain.load_json("a.json") == [0]
    assert save_json([1], "a.json", if_version=0).version == 2
    plain.save_json([2], "a.json")
    assert save_json([3], "a.json", if_version=2).version == 4


def test_what_is_no_json_is_moved_aside(project, caplog):
    with open("a.json", "w") as file:
        file.write("{half a doc")
    save_json([1], "a.json")
    names = sorted(name for name in os.listdir(".") if name.startswith("a.json"))
    assert len(names) == 2 and names[1].startswith("a.json.unsaved-")
    assert open(names[1]).read() == "{half a doc"
    assert names[1] in caplog.text
    assert revs("a.json") == ["a.json@1"]


def test_an_archive_is_made_at_the_root_of_the_project_and_said_once(project, caplog):
    save_json([1], "deep/er/a.json")
    save_json([2], "deep/er/a.json")
    save_json([2], "b.json")
    assert (project / ".backstory").is_dir() and not (project / "deep/.backstory").exists()
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"made an archive in {project}/.backstory"]
    assert {version.rev for version in Archive(".").list()} == {"deep/er/a.json@2", "b.json@1"}


def test_which_archive(project, monkeypatch):
    elsewhere = Archive(project / "elsewhere", create=True)
    inside = project / "elsewhere" / "a.json"
    monkeypatch.setenv("BACKSTORY_ARCHIVE", str(project / "elsewhere"))
    save_json([1], inside)
    with pytest.raises(backstory.UsageError, match="outside"):
        save_json([1], "a.json")
    assert not os.path.exists("a.json")
    monkeypatch.delenv("BACKSTORY_ARCHIVE")
    save_json([2], inside, archive=elsewhere)
    save_json([3], inside, archive=project / "elsewhere")
    save_json([4], inside)
    assert [v.version for v in elsewhere.history("a.json")] == [4, 3, 2, 1]
    assert load_json(inside, version=1, archive=elsewhere) == [1]
    with pytest.raises(backstory.NoArchiveError):
        save_json([1], "a.json", archive="nowhere")
    assert not os.path.exists("nowhere")


def test_an_archive_that_was_removed_is_made_anew(project):
    import shutil

    save_json([1], "a.json")
    shutil.rmtree(".backstory")
    assert save_json([2], "a.json").version == 2
    assert load_json("a.json", version=1) == [1]


def test_paths_of_all_kinds(project):
    save_json([1], project / "p.json")
    (project / "sub").mkdir()
    os.chdir("sub")
    save_json([2], "../p.json")
    save_json([3], os.path.join(str(project), "p.json"))
    assert [v.version for v in Archive("..").history("p.json")] == [3, 2, 1]


def test_permissions_and_links_stay(project):
    save_json([1], "real.json")
    os.chmod("real.json", 0o640)
    os.symlink("real.json", "link.json")
    save_json([2], "link.json")
    assert os.path.islink("link.json")
    assert stat.S_IMODE(os.stat("real.json").st_mode) == 0o640
    assert plain.load_json("real.json") == [2]


def test_times_tags_and_revisions(project):
    save_json([1], "a.json")
    save_json([2], "a.json")
    archive = Archive.of("a.json")
    archive.tag("first", "a.json@1")
    assert load_json("a.json", rev="first") == [1]
    assert load_json("a.json", rev="@1") == [1]
    assert load_json("a.json", version=-1) == [1]
    newest = archive.version("a.json")
    assert load_json("a.json", at=newest.time) == [2]
    assert load_json("a.json", at="2999-01-01") == [2]
    assert load_json("a.json", rev=f"b3:{newest.id[:12]}") == [2]
    with pytest.raises(backstory.UsageError):
        load_json("a.json", version=1, rev="first")
    with pytest.raises(backstory.NotFoundError):
        load_json("a.json", version=9)
    with pytest.raises(backstory.NotFoundError):
        load_json("b.json", version=1)


def outcome(call):
    try:
        call()
    except Exception as error:
        return [c for c in type(error).__mro__ if c.__module__ in ("builtins", "json.decoder")][0]
    return None


class Odd:
    pass


@pytest.mark.parametrize(
    ("data", "kwargs"),
    [
        ({1, 2}, {}),
        ({"a": Odd()}, {}),
        ({(1, 2): 3}, {}),
        (float("nan"), {"allow_nan": False}),
        ("\ud800", {}),
        ([1], {"indent": 1.5}),
        ([Odd()], {"default": lambda value: 1 / 0}),
        (b"bytes", {}),
    ],
)
def test_what_json_cannot_hold_raises_the_same(project, data, kwargs):
    expected = outcome(lambda: plain.save_json(data, "plain.json", **kwargs))
    assert expected is not None
    assert outcome(lambda: save_json(data, "ours.json", **kwargs)) is expected
    assert sorted(os.listdir(".")) == ["pyproject.toml"]


def test_circular_data(project):
    data = []
    data.append(data)
    for save in (plain.save_json, save_json):
        with pytest.raises(ValueError, match="Circular"):
            save(data, "a.json")


def test_loading_raises_the_same(project):
    for name, content in {"bad.json": b"{", "mark.json": b"\xef\xbb\xbf[]", "bytes.json": b"\xff", "empty.json": b""}.items():
        with open(name, "wb") as file:
            file.write(content)
    os.mkdir("folder.json")
    for name in ("bad.json", "mark.json", "bytes.json", "empty.json", "missing.json", "folder.json"):
        expected = outcome(lambda: plain.load_json(name))
        assert expected is not None and outcome(lambda: load_json(name)) is expected, name
    with pytest.raises(FileNotFoundError):
        load_json("missing.json")
    with pytest.raises(json.JSONDecodeError):
        load_json("bad.json")


def test_json_load_arguments_are_passed_on(project):
    save_json({"a": 1.5}, "a.json")
    assert load_json("a.json", parse_float=str) == {"a": "1.5"}
    assert load_json("a.json", version=1, parse_float=str) == {"a": "1.5"}


def test_a_folder_in_the_way(project):
    os.mkdir("a.json")
    assert outcome(lambda: plain.save_json([1], "a.json")) is IsADirectoryError
    with pytest.raises(IsADirectoryError) as caught:
        save_json([1], "a.json")
    assert caught.value.file_written is False and "was not written" in str(caught.value)
    os.rmdir("a.json")
    assert save_json([1], "a.json").version == 1


def test_a_file_where_a_folder_should_be(project):
    plain.save_json([1], "a")
    with pytest.raises(OSError) as caught:
        save_json([1], "a/b.json")
    assert isinstance(caught.value, backstory.IoError) and caught.value.errno in (17, 20)


def as_nobody(code):
    """Runs code as a user without rights, where this user has them all."""
    # What is imported may be where only this user can read.
    drop = "import os, backstory\nif os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
    call = subprocess.run([sys.executable, "-c", drop + code], capture_output=True, text=True)
    assert call.returncode == 0, call.stderr
    return call.stdout


def open_to_all(folder):
    while folder != folder.parent:
        try:
            os.chmod(folder, os.stat(folder).st_mode | 0o055)
        except PermissionError:
            break
        folder = folder.parent


def writable(folder, yes):
    for path, _, files in os.walk(folder):
        os.chmod(path, 0o777 if yes else 0o555)
        for name in files:
            os.chmod(os.path.join(path, name), 0o666 if yes else 0o444)


def test_a_read_only_archive(project):
    save_json([1], "a.json")
    open_to_all(project)
    os.chmod("a.json", 0o666)
    os.chmod(".", 0o777)
    writable(".backstory", False)
    out = as_nobody(
        """
try:
    backstory.save_json([2], "a.json")
except PermissionError as error:
    print(isinstance(error, backstory.IoError), error.file_written, error.archived)
    print("a.json was not written" in str(error))
print(backstory.load_json("a.json"))
"""
    )
    writable(".backstory", True)
    assert out.split("\n")[:3] == ["True False None", "True", "[1]"]
    assert revs("a.json") == ["a.json@1"]


def test_a_read_only_folder(project):
    os.mkdir("sub")
    save_json([1], "sub/a.json")
    open_to_all(project)
    writable(".", True)
    os.chmod("sub", 0o555)
    out = as_nobody(
        """
try:
    backstory.save_json([2], "sub/a.json")
except PermissionError as error:
    print(error.file_written, error.archived)
print(len(backstory.Archive(".").history("sub/a.json")))
"""
    )
    os.chmod("sub", 0o755)
    # What cannot be written is not archived either: the temporary file comes first.
    assert out.split() == ["False", "None", "1"]


def test_a_full_disk(project):
    save_json([1], "a.json")
    code = """
import resource, signal, sys, os
import backstory
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
backstory.Archive(".").load("a.json")
size = max(os.path.getsize(f".backstory/log/{name}") for name in os.listdir(".backstory/log"))
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, size + 10))
try:
    backstory.save_json("x" * 50, "a.json")
except OSError as error:
    print(error.errno, error.file_written, isinstance(error, backstory.IoError))
"""
    call = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert call.stdout.split() == ["27", "False", "True"], call.stderr
    assert plain.load_json("a.json") == [1]
    assert save_json([2], "a.json").version == 2
    assert Archive(".").verify().ok


def test_names_that_json_gives_twice_are_refused_and_nothing_changes(project):
    save_json([1], "a.json")
    with pytest.raises(backstory.InvalidDocumentError) as caught:
        save_json({1: "a", "1": "b"}, "a.json")
    assert caught.value.path == "a.json" and isinstance(caught.value, ValueError)
    assert plain.load_json("a.json") == [1] and revs("a.json") == ["a.json@1"]


def test_a_deleted_path_goes_on(project):
    save_json([1], "a.json")
    archive = Archive.of("a.json")
    archive.delete("a.json")
    assert save_json([2], "a.json").version == 3


def test_many_archives_stay_within_bounds(project):
    for number in range(40):
        folder = project / str(number)
        folder.mkdir()
        (folder / "package.json").write_text("{}")
        save_json([number], folder / "a.json")
    assert len(backstory.handles._open) <= backstory.handles.MOST_OPEN
    assert load_json(project / "0" / "a.json", version=1) == [0]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > len(os.listdir("/proc/self/fd"))
