"""What all parts share: settings, running the binary, documents that tell their own content, and a part's result."""
from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable

ARCHIVE = ".backstory"
CONTRACT = range(0, 9)
"""The exit codes that the command line may have."""


@dataclass
class Settings:
    """What this run uses."""

    binary: Path
    shared: Path | None
    """The folder with crashsim.py and killloop.py, where there is one."""
    scratch: Path
    keep: Path
    """Failing states go here."""
    long: bool
    smoke: bool
    seed: int = 1

    def amount(self, smoke: int, usual: int, long: int) -> int:
        """How much to do."""
        return smoke if self.smoke else long if self.long else usual

    def tool(self, name: str) -> Path | None:
        """One of the shared tools."""
        path = self.shared / "tools" / name if self.shared else None
        return path if path and path.exists() else None


@dataclass
class Part:
    """What one part has tried and found."""

    name: str
    settings: Settings
    tried: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def count(self, what: str, more: int = 1) -> None:
        """Counts what was done."""
        self.counts[what] = self.counts.get(what, 0) + more

    def fail(self, text: str, state: Path | None = None) -> None:
        """Notes a failure, and keeps the state that shows it."""
        if state is not None and state.exists() and len(self.failures) < 20:
            kept = self.settings.keep / f"{self.name}-{len(self.failures) + 1}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(state, kept, symlinks=True)
            (kept.parent / f"{kept.name}.txt").write_text(text + "\n")
            text += f"  [state: {kept}]"
        self.failures.append(text)

    def line(self) -> str:
        """The one line that a part prints."""
        counts = ", ".join(f"{number:,} {what}" for what, number in self.counts.items())
        result = "ok" if not self.failures else f"{len(self.failures)} FAILED"
        seconds = time.monotonic() - self.started
        return f"{self.name:<8} {result:<10} {self.tried}: {counts or 'nothing'} ({seconds:.0f} s)"


@dataclass
class Call:
    """One call of the binary that has ended."""

    args: list[str]
    code: int
    out: bytes
    err: str

    def lines(self) -> list[dict[str, Any]]:
        """Standard output, as JSON lines."""
        return [json.loads(line) for line in self.out.decode().splitlines() if line.strip()]

    def trouble(self) -> str | None:
        """What no call may do, whatever happens to it: end by a signal, panic, or give a code of no meaning."""
        if self.code not in CONTRACT or "panicked" in self.err:
            return f"{self.shown()}: exit {self.code}: {self.err.strip()[:300]}"
        return None

    def shown(self) -> str:
        """The call, for a message."""
        return "backstory " + " ".join(self.args)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without Backstory's own variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BACKSTORY_")}
    return {**kept, "BACKSTORY_AUTHOR": "ops", **more}


def call(
    binary: Path,
    args: Iterable[str],
    cwd: Path,
    *,
    data: bytes | None = None,
    env: dict[str, str] | None = None,
    before: Iterable[str] = (),
    timeout: float = 120,
) -> Call:
    """Runs the binary, behind the words of `before`. A call that hangs counts as exit 124."""
    args = list(args)
    try:
        done = subprocess.run(
            [*before, str(binary), *args],
            cwd=cwd,
            input=data if data is not None else b"",
            env=env or environment(),
            capture_output=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as late:
        return Call(args, 124, late.stdout or b"", "it did not end")
    return Call(args, done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def document(path: str, number: int, size: int = 6) -> bytes:
    """The text of one document, told wholly by its path and number; layouts and lengths differ."""
    source = random.Random(f"{path} {number}")
    words = ["north", "south", "pump", "valve", "night", "mean", "drift", "limit"]
    # What changes little between versions comes first, as in real histories.
    still = random.Random(path)
    value = {
        "path": path,
        "number": number,
        "sensors": [
            {"name": f"{still.choice(words)}-{n}", "limit": round(still.uniform(0, 90), 3), "unit": "°C"}
            for n in range(size)
        ],
        "readings": [round(source.uniform(-40, 60), 2) for _ in range(source.randrange(1, 3 * size))],
        "note": " ".join(source.choice(words) for _ in range(source.randrange(1, 9))),
    }
    layout = number % 4
    if layout == 0:
        text = json.dumps(value, ensure_ascii=False)
    elif layout == 1:
        text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    elif layout == 2:
        text = json.dumps(value, indent=4, sort_keys=True).replace("\n", "\r\n")
    else:
        text = json.dumps(value, ensure_ascii=False, separators=(" ,", ":  "))
    return text.encode()


def is_document(data: bytes) -> bool:
    """Are these bytes exactly those of the document that they say they are?"""
    try:
        value = json.loads(data)
        return data == document(value["path"], value["number"], len(value["sensors"]))
    except (ValueError, KeyError, TypeError):
        return False


def digest(data: bytes) -> str:
    """A short name for bytes."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Place:
    """A folder with an archive, and the binary that works on it."""

    binary: Path
    root: Path

    def run(self, *args: str, data: bytes | None = None, env: dict[str, str] | None = None) -> Call:
        """Runs one command in the folder."""
        return call(self.binary, args, self.root, data=data, env=env)

    def must(self, *args: str, data: bytes | None = None) -> Call:
        """Runs a command that has to work."""
        done = self.run(*args, data=data)
        if done.code != 0:
            raise RuntimeError(f"{done.shown()}: exit {done.code}: {done.err.strip()}")
        return done

    def write(self, name: str, data: bytes) -> None:
        """Writes a working file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def save_versions(self, name: str, numbers: Iterable[int], size: int = 6) -> None:
        """Saves documents, each as the content of the file."""
        for number in numbers:
            self.write(name, document(name, number, size))
            self.must("save", name, "--quiet")

    def settings(self, **values: Any) -> None:
        """Makes the archive if there is none, and sets its settings."""
        if not (self.root / ARCHIVE).exists():
            self.must("init", ".", "--quiet")
        (self.root / ARCHIVE / "settings.json").write_text(json.dumps(values))

    def rows(self) -> list[dict[str, Any]]:
        """The whole history, oldest first."""
        return self.must("log", "--json").lines()[::-1]

    def sound(self) -> str | None:
        """What `verify` has to say, if anything."""
        done = self.run("verify", "--json")
        if done.code == 0 and json.loads(done.out)["ok"]:
            return None
        return f"verify: exit {done.code}: {done.out.decode()[:300]} {done.err.strip()[:200]}"

    def writable(self) -> str | None:
        """Why the next save does not work, if it does not: it must, and leave a sound archive."""
        number = time.monotonic_ns()
        text = document("probe.json", number)
        done = self.run("save", "-", "--as", "probe.json", "--json", data=text)
        if done.code != 0:
            return f"the next save: exit {done.code}: {done.err.strip()[:300]}"
        change = done.lines()[0]
        loaded = self.run("load", f"probe.json@{change['version']}")
        if loaded.out != text:
            return f"the next save loads other bytes: exit {loaded.code}: {loaded.err.strip()[:200]}"
        return self.sound()


def fresh(folder: Path) -> Path:
    """An empty folder of this name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
