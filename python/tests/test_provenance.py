"""Where a version comes from."""

import json
import platform
import shutil
import subprocess
import sys

import pytest

from backstory import Archive, save_json


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def git(*arguments):
    settings = ["-c", "user.name=ops", "-c", "user.email=ops@example.org", "-c", "commit.gpgsign=false"]
    call = subprocess.run(["git", *settings, *arguments], check=True, capture_output=True, text=True)
    return call.stdout.strip()


SCRIPT = """
import sys
from backstory import save_json
save_json([len(sys.argv)], "a.json", provenance=True, meta={"run": 7})
"""


def run_script(*arguments):
    subprocess.run([sys.executable, "train.py", *arguments], check=True)
    return Archive(".").version("a.json").meta


@needs_git
def test_code_command_machine_and_versions(project):
    git("init", "-q", "-b", "main", ".")
    (project / "train.py").write_text(SCRIPT)
    git("add", "train.py")
    git("commit", "-q", "-m", "code")
    meta = run_script("--lr", "0.1", "--api-key", "do-not-keep-1", "db://ops:do-not-keep-2@host/x", "TOKEN=do-not-keep-3")
    assert meta["run"] == 7
    found = meta["provenance"]
    assert found["git"] == {"commit": git("rev-parse", "HEAD"), "branch": "main", "dirty": False}
    assert found["command"][1:] == ["train.py", "--lr", "0.1", "--api-key", "***", "db://***@host/x", "TOKEN=***"]
    assert found["host"] == platform.node() and found["python"] == platform.python_version()
    assert set(found) >= {"git", "command", "host", "python", "backstory"}
    assert "do-not-keep" not in json.dumps(meta)
    for segment in (project / ".backstory" / "log").glob("*.seg"):
        assert b"do-not-keep" not in segment.read_bytes()
    (project / "train.py").write_text(SCRIPT + "\n# changed")
    assert run_script("again")["provenance"]["git"]["dirty"] is True


def test_without_git(project, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(project.parent))
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(project / "x.py"), raising=False)
    save_json([1], "a.json", provenance=True)
    archive = Archive(".")
    assert "git" not in archive.version("a.json").meta["provenance"]
    archive.save("b", [1], provenance=True)
    assert archive.version("b").meta["provenance"]["python"]
    save_json([2], "a.json")
    assert archive.version("a.json").meta == {}
