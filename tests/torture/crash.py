"""Crashes and power cuts: every state that one can leave, rebuilt by crashsim.py and checked by crash_check.py."""
from __future__ import annotations

import json
import os
import random
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from base import ARCHIVE, Part, Place, digest, document, environment, fresh

CHECK = Path(__file__).with_name("crash_check.py")


@dataclass
class Workload:
    """Commands whose every crash is looked at. `$B` is the binary, `$I` a folder of documents outside the root."""

    name: str
    prepare: Callable[[Place], None]
    commands: str
    faults: list[str] = field(default_factory=list)
    """Faults to inject, each into a recording of its own."""
    home: str = "."
    """Where below the root the archive is."""


def three_versions(place: Place) -> None:
    """A file of three versions whose newest content is not saved yet."""
    place.save_versions("config.json", range(3))
    place.write("config.json", document("config.json", 3))


def several_files(place: Place) -> None:
    for name in ("config.json", "metrics.json", "sensors/north.json"):
        place.save_versions(name, range(2))
        place.write(name, document(name, 2))


def short_segments(place: Place) -> None:
    place.settings(segment_bytes=1024)
    place.save_versions("config.json", range(3))


def edited(place: Place) -> None:
    """Two files whose content is not archived; one of them is no document."""
    several_files(place)
    place.write("metrics.json", b'{"half": ')


def two_commits(place: Place) -> None:
    """Two files of three versions, saved together, and one with an edit."""
    for number in range(3):
        for name in ("config.json", "metrics.json"):
            place.write(name, document(name, number))
        place.must("save", "config.json", "metrics.json", "--quiet", "--meta", "count=2")
    place.write("config.json", document("config.json", 9))


def many_versions(place: Place) -> None:
    place.settings(segment_bytes=2048)
    for number in range(8):
        for name in ("config.json", "metrics.json"):
            place.write(name, document(name, number))
            place.must("save", name, "--quiet")


def packed_before(place: Place) -> None:
    many_versions(place)
    place.must("compact", "--quiet")
    place.save_versions("config.json", range(8, 12))


SAVE_AS = " ; ".join(f"$B save $I/config-{n}.json --as config.json --json" for n in range(3, 6))
JSONL = "$B save --jsonl --json --batch {batch} < $I/lines"
SYNC_FAULTS = [f"fdatasync:error=EIO:when={n}" for n in (1, 2, 4)]
WRITE_FAULTS = [f"pwrite64:error=ENOSPC:when={n}" for n in (1, 2, 3, 5)]

WORKLOADS = [
    Workload("save", three_versions, f"$B save config.json --json ; {SAVE_AS}", SYNC_FAULTS[:1] + WRITE_FAULTS[:2]),
    Workload("save-many", several_files,
             "$B save config.json metrics.json sensors --json --meta count=3", SYNC_FAULTS[:1] + WRITE_FAULTS[:1]),
    Workload("save-new", lambda place: place.write("config.json", document("config.json", 0)),
             f"$B save config.json --json ; {SAVE_AS}", ["fsync:error=EIO:when=2", *SYNC_FAULTS[:1]]),
    Workload("init-deep", lambda place: None, "$B init lab/north --quiet ; $B --archive lab/north save $I/config-3.json --as config.json --json",
             home="lab/north"),
    Workload("jsonl", three_versions, JSONL.format(batch=1), [*SYNC_FAULTS, *WRITE_FAULTS]),
    Workload("jsonl-3", three_versions, JSONL.format(batch=3), SYNC_FAULTS),
    Workload("rollover", short_segments, JSONL.format(batch=2), [*SYNC_FAULTS, *WRITE_FAULTS, "rename:error=EIO:when=1"]),
    Workload("rollback", edited,
             "$B rollback config.json --to 1 --json ; $B rollback metrics.json --to 1 --json ; "
             "$B rollback config.json sensors/north.json --to 2 --json", [*SYNC_FAULTS[:1], *WRITE_FAULTS[:1]]),
    Workload("load-o", edited, "$B load config.json@1 -o config.json ; $B load metrics.json@1 -o metrics.json"),
    Workload("undo", two_commits, "$B undo $($B head) --json ; $B redo --json", SYNC_FAULTS[:1]),
    Workload("delete", two_commits, "$B delete config.json --json ; $B undelete config.json --json", SYNC_FAULTS[:1]),
    Workload("tag", two_commits,
             "$B tag best config.json@1 --json ; $B tag all --json ; $B tag best config.json@2 --json ; $B tag --delete all"),
    Workload("mv", two_commits, "$B mv config.json old/config.json --json ; $B mv metrics.json m.json --json", SYNC_FAULTS[:1]),
    Workload("compact", many_versions, f"$B compact --quiet ; {SAVE_AS}",
             [*SYNC_FAULTS, *WRITE_FAULTS, "rename:error=EIO:when=1", "unlink:error=EIO:when=1"]),
    Workload("compact-2", packed_before, "$B compact --quiet ; $B save $I/config-3.json --as config.json --json"),
    Workload("reindex", many_versions, "$B reindex --quiet ; $B save $I/config-3.json --as config.json --json"),
]
NESTED = ("save", "jsonl", "rollover", "compact")


def run(part: Part) -> None:
    """Records each workload, with and without faults, and checks what its crashes leave."""
    settings = part.settings
    simulator = settings.tool("crashsim.py")
    part.tried = "crashes under three models"
    if simulator is None:
        part.left_out.append("everything, as there is no crashsim.py")
        return
    chosen = [w for w in WORKLOADS if w.name in ("save", "rollback")] if settings.smoke else WORKLOADS
    for workload in chosen:
        part.count("workloads")
        crash(part, simulator, workload, None)
        # By default one of its faults: which, is the seed's choice.
        faults = random.Random(f"{settings.seed} {workload.name}").sample(workload.faults, len(workload.faults))
        faults = faults[: settings.amount(0, 1, 99)]
        for fault in faults:
            part.count("faults")
            crash(part, simulator, workload, fault)


def inbox(folder: Path) -> Path:
    """Documents to save, outside the root: texts, and lines for `--jsonl`."""
    fresh(folder)
    lines = []
    for number in range(3, 12):
        for path in ("config.json", "metrics.json"):
            text = document(path, number)
            (folder / f"{path[:-5]}-{number}.json").write_bytes(text)
            lines.append(json.dumps({"path": path, "doc": json.loads(text)}))
    (folder / "lines").write_text("\n".join(lines[:14]) + "\n")
    (folder / "probe.json").write_bytes(document("probe.json", 1))
    return folder


def facts(place: Place, texts: Path, exact: bool, before: dict[str, bytes]) -> dict[str, Any]:
    """What a state after a crash is held against: the history that the whole workload has made."""
    known: dict[str, list[str]] = {}
    rows = place.rows() if (place.root / ARCHIVE).exists() else []
    for row in rows:
        if row["id"]:
            loaded = place.must("load", f"{row['path']}@{row['version']}").out
            known.setdefault(row["id"], []).append(digest(loaded))
    commits: dict[str, list[Any]] = {}
    for row in rows:
        commits.setdefault(str(row["seq"]), []).append([row["path"], row["version"], row["id"], row["commit"]])
    saved = {name for names in known.values() for name in names}
    files = saved | {digest(data) for data in before.values()} | {digest(f.read_bytes()) for f in texts.iterdir()}
    return {
        "binary": str(place.binary),
        "exact": exact,
        "known": known,
        "commits": commits,
        "files": sorted(files),
        "present": {name: digest(data) for name, data in before.items()},
    }


def working_files(root: Path) -> dict[str, bytes]:
    """The files beside the archive."""
    found = (path for path in root.rglob("*") if path.is_file() and ARCHIVE not in path.relative_to(root).parts)
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def crash(part: Part, simulator: Path, workload: Workload, fault: str | None) -> None:
    """One recording and all its crashes."""
    settings = part.settings
    label = workload.name + (f" with {fault}" if fault else "")
    base = fresh(settings.scratch / "crash")
    place = Place(settings.binary, fresh(base / "root"))
    texts = inbox(base / "inbox")
    workload.prepare(place)
    before = working_files(place.root)
    trace, ground = base / "trace", base / "facts.json"
    words = {"$B": shlex.quote(str(settings.binary)), "$I": shlex.quote(str(texts))}
    commands = workload.commands
    for word, meaning in words.items():
        commands = commands.replace(word, meaning)
    tool = [sys.executable, str(simulator)]
    common = ["--tmp", str(base / "tmp"), "--ignore", "*index.sqlite-shm"]
    record = [*tool, "run", "--dir", str(place.root), "--cwd", str(place.root), "--workload", commands,
              "--save-trace", str(trace), *common, *(["--inject", fault] if fault else [])]
    done = subprocess.run(record, capture_output=True, text=True, env=environment(), timeout=300)
    if done.returncode != 0:
        part.fail(f"{label}: the recording failed: {done.stdout[-600:]}{done.stderr[-300:]}", place.root)
        return
    try:
        ground.write_text(json.dumps(facts(Place(place.binary, place.root / workload.home), texts, fault is None, before)))
    except RuntimeError as error:
        part.fail(f"{label}: after the workload: {error}", place.root)
        return
    points, samples = settings.amount(4, 6 if fault is None else 4, 0), settings.amount(1, 1, 6)
    # Crashed recoveries make many states each, so by default only some workloads have them.
    nested = settings.amount(0, int(workload.name in NESTED and not fault), 20)
    keep = settings.keep / f"crash-{re.sub('[^a-z0-9-]+', '-', label.lower())}"
    shm = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else base
    check = f"{sys.executable} -I -S {shlex.quote(str(CHECK))} {shlex.quote(str(ground))} {{dir}}/{workload.home} {{ack}}"
    recover = f"cd {{dir}}/{workload.home} && {words['$B']} save {words['$I']}/probe.json --as probe.json --json"
    replay = [*tool, "replay", "--trace", str(trace), "--check", check, "--points", str(points), "--samples", str(samples),
              "--seed", str(settings.seed), "--scratch", str(shm / f"torture-{os.getpid()}"), "--keep", str(keep),
              "--cwd", str(place.root), "--recover", recover, "--nested", str(nested), *common,
              *(["--garbage"] if settings.long else [])]
    done = subprocess.run(replay, capture_output=True, text=True, env=environment(), timeout=3600)
    states = re.findall(r"states=(\d+)", done.stdout)
    nested_states = re.findall(r"nested: \d+ crashed recoveries, (\d+) states", done.stdout)
    part.count("states", sum(map(int, states)))
    part.count("states of crashed recoveries", sum(map(int, nested_states)))
    if done.returncode != 0 or not states:
        shown = [line for line in done.stdout.splitlines() if line.startswith(("FAIL", "RESULT"))]
        part.fail(f"{label}: " + "\n             ".join(shown or [done.stdout[-300:] + done.stderr[-600:]]) + f"  [states: {keep}]")
