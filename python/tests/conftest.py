"""A folder of its own for each test, and an environment that holds nothing of ours."""

import pytest

import backstory.handles


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """The current directory: the root of a project without an archive."""
    for name in ("BACKSTORY_ARCHIVE", "BACKSTORY_INDEX", "USER", "LOGNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BACKSTORY_AUTHOR", "ops")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("")
    monkeypatch.chdir(folder)
    yield folder
    backstory.handles._open.clear()
