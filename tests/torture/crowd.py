"""Many processes on one archive: savers, swappers, readers, compacters, those who delete the index, and live copies."""
from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, Callable

from base import ARCHIVE, Part, Place, digest, document, environment, fresh

SHARED_PATHS = ["config.json", "metrics.json", "sensors/north.json"]
COUNTER = "counter.json"
ROLES = ["saver"] * 5 + ["batch", "batch", "swapper", "swapper", "swapper", "roller", "deleter", "reader", "reader", "keeper", "indexer"]


def run(part: Part) -> None:
    """The crowd, then holders of the lock that stop and die."""
    settings = part.settings
    part.tried = f"{len(ROLES)} processes at once, live copies, stopped holders"
    base = fresh(settings.scratch / "crowd")
    crowd(part, base, settings.amount(2, 30, 300))
    stopped_holder(part, base)
    read_only_copy(part, base)


def crowd(part: Part, base: Path, seconds: int) -> None:
    """Everybody works for so many seconds; then what they were told is held against the history."""
    place = Place(part.settings.binary, fresh(base / "root"))
    place.settings(segment_bytes=65536)
    place.must("save", "-", "--as", COUNTER, "--quiet", data=b"0")
    until = time.monotonic() + seconds
    answers = base / "answers"
    fresh(answers)
    children = []
    for number, role in enumerate(ROLES):
        child = multiprocessing.Process(target=work, args=(place, role, number, until, answers / f"{number}-{role}", part.settings.seed))
        child.start()
        children.append(child)
    copies = live_copies(part, place, base, until)
    for child in children:
        child.join(seconds + 120)
        if child.exitcode != 0:
            part.fail(f"a {ROLES[children.index(child)]} ended with {child.exitcode}")
    told = [json.loads(line) for path in sorted(answers.iterdir()) for line in path.read_text().splitlines()]
    for answer in told:
        part.count(answer["did"])
        if "wrong" in answer:
            part.fail(answer["wrong"], place.root)
    judge(part, place, told)
    for copy in copies:
        judge_copy(part, place, copy)


def work(place: Place, role: str, number: int, until: float, answers: Path, seed: int) -> None:
    """One process of the crowd: does its work again and again and notes every answer."""
    source = random.Random(f"{seed} {role} {number}")
    with answers.open("w") as file:

        def note(did: str, **values: Any) -> None:
            file.write(json.dumps({"did": did, "role": role, **values}) + "\n")

        round_number = 0
        while time.monotonic() < until:
            round_number += 1
            try:
                ROLE_WORK[role](place, source, number * 1_000_000 + round_number * 100, note)
            except (ValueError, LookupError) as error:
                note("answers of no meaning", wrong=f"a {role} was told what makes no sense: {error!r}")


def trouble(done: Any, *also: int) -> dict[str, str]:
    """What is wrong with a call that should have worked, or have had one of these codes."""
    if done.code in (0, *also) and not done.trouble():
        return {}
    said = done.out.decode(errors="replace") if "verify" in done.args else ""
    return {"wrong": f"{done.shown()}: exit {done.code}: {said}{done.err.strip()[:300]}"}


def saver(place: Place, source: random.Random, number: int, note: Callable[..., None]) -> None:
    path = source.choice(SHARED_PATHS)
    text = document(path, number)
    done = place.run("save", "-", "--as", path, "--json", data=text)
    note("saves", **trouble(done), changes=[{**change, "sha": digest(text)} for change in done.lines()])


def batch(place: Place, source: random.Random, number: int, note: Callable[..., None]) -> None:
    paths = [source.choice(SHARED_PATHS) for _ in range(30)]
    lines = b"".join(json.dumps({"path": p, "doc": json.loads(document(p, number + n))}).encode() + b"\n" for n, p in enumerate(paths))
    done = place.run("save", "--jsonl", "--json", "--batch", source.choice(["1", "5", "100"]), data=lines)
    note("batches", **trouble(done), changes=done.lines())


def swapper(place: Place, source: random.Random, number: int, note: Callable[..., None]) -> None:
    """Adds one to a counter by compare-and-swap."""
    newest = place.run("ls", COUNTER, "--json").lines()[0]["version"]
    value = int(place.run("load", f"{COUNTER}@{newest}").out)
    done = place.run("save", "-", "--as", COUNTER, "--if-version", str(newest), "--json", data=str(value + 1).encode())
    changes = [{**change, "expected": newest, "value": value + 1} for change in done.lines()]
    note("swaps" if done.code == 0 else "refused swaps", **trouble(done, 4), changes=changes)


def roller(place: Place, source: random.Random, number: int, note: Callable[..., None]) -> None:
    path = source.choice(SHARED_PATHS)
    rows = place.run("ls", path, "--json").lines()
    if rows and rows[0]["version"] > 2:
        done = place.run("rollback", path, "--to", str(source.randrange(1, rows[0]["version"])), "--archive-only", "--json")
        # The version may be a deletion.
        note("rollbacks", **trouble(done, 3), changes=done.lines())


def deleter(place: Place, source: random.Random, number: int, note: Callable[..., None]) -> None:
    """Deletes, brings back, takes back, and names things."""
    path = source.choice(SHARED_PATHS)
    # Never a commit of the counter: whoever takes one back makes it count wrong.
    newest = place.run("log", path, "-n", "1", "--json").lines()
    undo = [["undo", newest[0]["commit"], "--archive-only"]] if newest else []
    args = source.choice([["delete", path], ["undelete", path], ["tag", "best", f"{path}@1"], *undo])
    done = place.run(*args, "--json")
    note(f"{args[0]}s", **trouble(done, 1, 2, 3, 4), changes=[c for c in done.lines() if "status" in c])
    time.sleep(0.05)


def reader(place: Place, source: random.Random, number: int, note: Callable[..., None]) -> None:
    """Reads, and must find commits whole and contents right."""
    rows = place.run("log", "-n", "30", "--json")
    if wrong := trouble(rows):
        note("reads", **wrong)
        return
    found = rows.lines()
    seqs = [row["seq"] for row in found]
    if seqs != sorted(seqs, reverse=True):
        note("reads", wrong=f"log is out of order: {seqs}")
    row = source.choice(found) if found else None
    if row and row["id"]:
        done = place.run("load", f"{row['path']}@{row['version']}")
        note("reads", **trouble(done), loaded=[row["path"], row["version"], row["id"], digest(done.out)])
    if source.random() < 0.1:
        done = place.run("verify", "--json")
        note("verifies", **trouble(done))


def keeper(place: Place, source: random.Random, number: int, note: Callable[..., None]) -> None:
    done = place.run("compact")
    note("compacts", **trouble(done))
    time.sleep(source.uniform(0.1, 1))


def indexer(place: Place, source: random.Random, number: int, note: Callable[..., None]) -> None:
    """Takes the index away, or builds it anew."""
    if source.random() < 0.5:
        for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
            (place.root / ARCHIVE / name).unlink(missing_ok=True)
        note("index deletions")
    else:
        note("reindexes", **trouble(place.run("reindex")))
    time.sleep(source.uniform(0.05, 0.5))


ROLE_WORK = {"saver": saver, "batch": batch, "swapper": swapper, "roller": roller, "deleter": deleter, "reader": reader,
             "keeper": keeper, "indexer": indexer}


def judge(part: Part, place: Place, told: list[dict[str, Any]]) -> None:
    """The history has every acknowledged change, each path has versions 1 to N, and swaps were one after the other."""
    if problem := place.sound():
        part.fail(f"after the crowd: {problem}", place.root)
        return
    rows = place.rows()
    there = {(row["path"], row["version"]): row for row in rows}
    if len(there) != len(rows):
        part.fail("a version is there twice", place.root)
    for path, count in Counter(row["path"] for row in rows).items():
        versions = [row["version"] for row in rows if row["path"] == path]
        if versions != list(range(1, count + 1)):
            part.fail(f"{path}: versions are not 1 to {count} in the order of commits", place.root)
    owners: Counter[tuple[str, int]] = Counter()
    contents: dict[tuple[str, int], str] = {}
    for answer in told:
        for change in answer.get("changes", ()):
            key = (change["path"], change["version"])
            row = there.get(key)
            if row is None or (row["id"], row["commit"]) != (change["id"], change["commit"]):
                part.fail(f"acknowledged to a {answer['role']} and not in the log: {change}, but {row}", place.root)
                continue
            if change["status"] != "unchanged":
                owners[key] += 1
                part.count("acknowledged")
            if "expected" in change and not change["version"] == change["expected"] + 1 == change["value"] + 1:
                part.fail(f"a swap on version {change['expected']} made {change['version']}, value {change['value']}", place.root)
            if "sha" in change:
                contents[key] = change["sha"]
        if "loaded" in answer:
            path, version, object_id, sha = answer["loaded"]
            if (path, version) not in there or there[path, version]["id"] != object_id:
                part.fail(f"a reader saw {path}@{version}, which is not in the log", place.root)
            elif contents.setdefault((path, version), sha) != sha:
                part.fail(f"a reader loaded other bytes of {path}@{version}", place.root)
    for key, count in owners.items():
        if count > 1:
            part.fail(f"{key} was acknowledged to {count} writers", place.root)
    for key, sha in random.Random(1).sample(sorted(contents.items()), min(300, len(contents))):
        if digest(place.run("load", f"{key[0]}@{key[1]}").out) != sha:
            part.fail(f"{key} loads other bytes than were saved", place.root)
    newest = place.must("ls", COUNTER, "--json").lines()[0]["version"]
    if int(place.must("load", COUNTER).out) != newest - 1:
        part.fail(f"{newest - 1} swaps were made and the counter stands at {place.must('load', COUNTER).out!r}", place.root)


def live_copies(part: Part, place: Place, base: Path, until: float) -> list[Path]:
    """Copies made by other programs while the archive is written."""
    programs = [["cp", "-r"]] + ([["rsync", "-a"]] if shutil.which("rsync") else [])
    if len(programs) == 1:
        part.left_out.append("copies by rsync, which is not installed")
    copies = []
    while time.monotonic() < until and len(copies) < part.settings.amount(3, 12, 60):
        copy = base / f"copy-{len(copies)}"
        copy.mkdir()
        # cp says 1 where a file is gone that it had seen; rsync says 24.
        subprocess.run([*programs[len(copies) % len(programs)], str(place.root / ARCHIVE), f"{copy}/"], capture_output=True)
        copies.append(copy)
        time.sleep(min(2.0, max(0.1, (until - time.monotonic()) / 12)))
    return copies


def judge_copy(part: Part, place: Place, copy: Path) -> None:
    """A live copy is a true prefix, or says clearly what it lacks (a segment that was packed away meanwhile)."""
    part.count("live copies")
    there = {(row["path"], row["version"]): row for row in place.rows()}
    copied = Place(place.binary, copy)
    checked = copied.run("verify", "--json")
    rows = copied.run("log", "--json")
    if checked.code == 6 or rows.code == 6:
        part.count("live copies that compact had overtaken")
        return
    if checked.trouble() or checked.code not in (0, 1) or rows.code != 0:
        part.fail(f"a live copy: verify {checked.code} {checked.err.strip()[:200]}, log {rows.code} {rows.err.strip()[:200]}", copy)
        return
    if checked.code == 1:
        kinds = Counter(f"{finding['kind']}: {finding['message'][:60]}" for finding in json.loads(checked.out)["findings"])
        packed = all("missing" in kind for kind in kinds)
        if packed:
            part.count("live copies that compact had overtaken")
        else:
            part.fail(f"a live copy is no true prefix: {dict(kinds)}", copy)
        return
    found = rows.lines()
    if [row["seq"] for row in found] and found[0]["seq"] > max(row["seq"] for row in there.values()):
        part.fail("a live copy is ahead of its original", copy)
    for row in found:
        own = there.get((row["path"], row["version"]))
        if own is None or own["commit"] != row["commit"] or own["id"] != row["id"]:
            part.fail(f"a live copy has another {row['rev']}", copy)
            return
    for row in random.Random(len(found)).sample(found, min(15, len(found))):
        if row["id"] and copied.run("load", f"{row['path']}@{row['version']}").out != place.run("load", f"{row['path']}@{row['version']}").out:
            part.fail(f"a live copy loads another {row['rev']}", copy)
    if problem := copied.writable():
        part.fail(f"a live copy: {problem}", copy)


def stopped_holder(part: Part, base: Path) -> None:
    """A writer that is stopped with the lock: others are told exit 8, readers read; killed, others go on."""
    place = Place(part.settings.binary, fresh(base / "holder"))
    place.settings()
    place.must("save", "-", "--as", "config.json", "--quiet", data=b"1")
    lines = b"".join(json.dumps({"path": "sensors.json", "doc": n}).encode() + b"\n" for n in range(20000))
    (base / "lines").write_bytes(lines)
    for attempt in range(part.settings.amount(1, 4, 20)):
        with (base / "lines").open("rb") as data:
            holder = subprocess.Popen([str(place.binary), "save", "--jsonl", "--quiet"], cwd=place.root, env=environment(),
                                      stdin=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if not stop_with_lock(holder, place, attempt):
                part.fail("no holder could be stopped with the lock")
                continue
            part.count("stopped holders")
            before = time.monotonic()
            refused = place.run("save", "-", "--as", "config.json", "--wait", "1", "--json", data=str(attempt).encode())
            waited = time.monotonic() - before
            if refused.code != 8 or not 0.9 < waited < 4:
                part.fail(f"with a stopped holder: exit {refused.code} after {waited:.1f} s: {refused.err.strip()[:200]}")
            for args in (["log", "-n", "3"], ["load", "config.json@1"], ["ls"], ["status"], ["head"]):
                done = place.run(*args)
                if done.code != 0:
                    part.fail(f"with a stopped holder: {done.shown()}: exit {done.code}: {done.err.strip()[:200]}")
        finally:
            holder.send_signal(signal.SIGKILL)
            holder.wait()
        after = place.run("save", "-", "--as", "config.json", "--json", "--wait", "5", data=f"[{attempt}]".encode())
        if after.code != 0:
            part.fail(f"after the holder was killed: exit {after.code}: {after.err.strip()[:300]}", place.root)
        if problem := place.writable():
            part.fail(f"after the holder was killed: {problem}", place.root)


def stop_with_lock(holder: subprocess.Popen[bytes], place: Place, seed: int) -> bool:
    """Stops the process at moments until it is one at which it has the lock."""
    lock = place.root / ARCHIVE / "lock"
    source = random.Random(seed)
    for _ in range(300):
        time.sleep(source.uniform(0.001, 0.02))
        if holder.poll() is not None:
            return False
        holder.send_signal(signal.SIGSTOP)
        time.sleep(0.005)
        inode = lock.stat().st_ino
        held = Path("/proc/locks").read_text()
        if any(f":{inode} " in line and f" {holder.pid} " in line for line in held.splitlines() if "FLOCK" in line):
            return True
        holder.send_signal(signal.SIGCONT)
    return False


def read_only_copy(part: Part, base: Path) -> None:
    """Many readers on a copy that nobody may write."""
    root = base / "root"
    copy = fresh(base / "frozen")
    shutil.copytree(root / ARCHIVE, copy / ARCHIVE, dirs_exist_ok=True)
    place = Place(part.settings.binary, copy)
    mounted = subprocess.run(["mount", "--bind", str(copy), str(copy)], capture_output=True).returncode == 0
    if not mounted:
        part.left_out.append("readers on a read-only copy, as mounting is not allowed")
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(copy)], check=True)
        cache = environment(XDG_CACHE_HOME=str(base / "cache"))
        children = [
            subprocess.Popen([str(place.binary), *args], cwd=copy, env=cache, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for args in [["log"], ["verify"], ["load", COUNTER], ["ls"]] * 4
        ]
        outputs: dict[str, set[bytes]] = {}
        for child in children:
            out, err = child.communicate(timeout=120)
            part.count("readers of a read-only copy")
            outputs.setdefault(str(child.args[1]), set()).add(out)
            if child.returncode != 0:
                part.fail(f"a reader of a read-only copy: {child.args[1:]}: exit {child.returncode}: {err.decode()[:300]}")
        for command, answers in outputs.items():
            if len(answers) != 1:
                part.fail(f"readers of a read-only copy have {len(answers)} answers to {command}")
    finally:
        subprocess.run(["umount", str(copy)], check=False)


assert set(ROLES) == set(ROLE_WORK) and os.name == "posix"
