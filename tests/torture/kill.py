"""Processes killed at random moments, again and again, on one archive: killloop.py drives, this file is work and check.

`kill.py work BIN DIR RUN` does random commands and prints a line for each that was acknowledged, until it is killed;
`kill.py check BIN DIR ACK` checks the archive after it.
"""
from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from base import Part, Place, digest, document, environment, fresh, is_document

PATHS = ["config.json", "metrics.json", "sensors/north.json", "sensors/south.json"]


def run(part: Part) -> None:
    """Kills as often as the settings say."""
    settings = part.settings
    tool = settings.tool("killloop.py")
    part.tried = "kill -9 at random moments, one archive"
    if tool is None:
        part.left_out.append("everything, as there is no killloop.py")
        return
    root = fresh(settings.scratch / "kill" / "root")
    place = Place(settings.binary, root)
    place.settings(segment_bytes=32768)
    for path in PATHS:  # as files, so that rollback may write them
        place.save_versions(path, [0])
    this = f"{sys.executable} {Path(__file__)}"
    done = subprocess.run(
        [sys.executable, str(tool), "--dir", str(root), "--runs", str(settings.amount(5, 60, 500)), "--min-ms", "120",
         "--max-ms", "500", "--seed", str(settings.seed), "--workload", f"{this} work {settings.binary} {{dir}} {{run}}",
         "--check", f"{this} check {settings.binary} {{dir}} {{ack}}", "--stop-first"],
        capture_output=True, text=True, env=environment(), timeout=3600,
    )
    found = re.search(r"runs=(\d+) killed=(\d+) failed=\d+ acked lines=(\d+)", done.stdout)
    for name, value in zip(("runs", "kills", "acknowledged"), found.groups() if found else ()):
        part.count(name, int(value))
    if done.returncode != 0 or not found:
        part.fail(done.stdout.strip()[-1500:] + done.stderr.strip()[-500:], root)


def work(place: Place, source: random.Random, number: int) -> None:
    """Random commands, one after the other; of each change a line once it was acknowledged."""
    say(changes=[])
    while True:
        number += 1
        path = source.choice(PATHS)
        kind = source.choice(["save"] * 6 + ["jsonl"] * 3 + ["rollback"] * 3 + ["undo", "delete", "compact", "reindex", "index"])
        texts: dict[str, str] = {}
        if kind == "save":
            names = source.sample(PATHS, source.randrange(1, 4))
            for name in names:
                write_whole(place, name, document(name, number))
                texts[name] = digest(document(name, number))
            done = place.run("save", *names, "--json", "--meta", f"count={len(names)}")
        elif kind == "jsonl":
            lines = [json.dumps({"path": path, "doc": json.loads(document(path, number + n))}) for n in range(20)]
            number += 20
            jsonl(place, lines, source.choice(["1", "3", "50"]))
            continue
        elif kind == "rollback":
            edit = document(path, number, 7)  # nowhere in the archive
            write_whole(place, path, edit)
            say(changes=[], edit=path, digest=digest(edit))
            done = place.run("rollback", path, "--json", *(["--to", "1"] if source.random() < 0.5 else []))
            # Where it was refused the edit still stands in the file, and the next command may write over it.
            say(changes=[], **({"edit": path, "digest": digest(edit), "replaced": True} if done.code == 0 else {}))
        elif kind == "undo":
            done = place.run("undo", place.run("head").out.decode().strip(), "--json")
        elif kind == "delete":
            done = place.run("delete", path, "--json")
        elif kind == "index":
            for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
                (place.root / ".backstory" / name).unlink(missing_ok=True)
            continue
        else:
            done = place.run(kind, "--json")
        if done.trouble() or done.code in (1, 2, 6, 7, 8):
            say(changes=[], trouble=f"{done.shown()}: exit {done.code}: {done.err.strip()[-400:]}")
        if done.out and kind not in ("compact", "reindex"):
            say(changes=[{**change, "sha": texts.get(change["path"])} for change in done.lines()])


def jsonl(place: Place, lines: list[str], batch: str) -> None:
    """Streams lines; each change is passed on as it is acknowledged."""
    child = subprocess.Popen(
        [str(place.binary), "save", "--jsonl", "--json", "--batch", batch], cwd=place.root, env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    assert child.stdin and child.stdout
    child.stdin.write("\n".join(lines).encode() + b"\n")
    child.stdin.close()
    for line in child.stdout:
        say(changes=[json.loads(line)])
    if child.wait() != 0:
        say(changes=[], trouble=f"save --jsonl: exit {child.returncode}")


def write_whole(place: Place, name: str, data: bytes) -> None:
    """Writes a working file as a careful editor does, so that a kill does not leave half of it."""
    path = place.root / name
    path.parent.mkdir(exist_ok=True)
    other = path.with_suffix(".new")
    other.write_bytes(data)
    other.replace(path)


def say(**values: Any) -> None:
    """One line, in one write: whole or not there."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def check(place: Place, acknowledged: Path) -> list[str]:
    """What is wrong. Remembers how far it has checked, so that each run costs the same."""
    memory = acknowledged.with_suffix(".seen")
    seen = json.loads(memory.read_text()) if memory.exists() else {"lines": 0}
    answers = [json.loads(line) for line in acknowledged.read_bytes().split(b"\n")[:-1]]
    wrong = [answer["trouble"] for answer in answers[seen["lines"]:] if "trouble" in answer]
    rows = place.rows()
    there = {(row["path"], row["version"]): row for row in rows}
    by_path: dict[str, list[int]] = {}
    for row in rows:
        by_path.setdefault(row["path"], []).append(row["version"])
    counts = Counter(row["commit"] for row in rows)
    for row in rows:
        if counts[row["commit"]] != int(row["meta"].get("count", counts[row["commit"]])):
            wrong.append(f"half a commit: {row}")
    for path, versions in by_path.items():
        if sorted(versions) != list(range(1, len(versions) + 1)):
            wrong.append(f"{path}: the versions are not 1 to N: {sorted(versions)[-5:]}")
    new = [change for answer in answers[seen["lines"]:] for change in answer["changes"]]
    old = [change for answer in answers[: seen["lines"]] for change in answer["changes"]]
    for change in old + new:
        row = there.get((change["path"], change["version"]))
        if row is None or (row["id"], row["commit"]) != (change["id"], change["commit"]):
            wrong.append(f"acknowledged, but the log has {row}: {change}")
    sampled = random.Random(len(answers)).sample(old, min(5, len(old)))
    for change in new + sampled:
        if change["id"] is None:
            continue
        loaded = place.run("load", f"{change['path']}@{change['version']}")
        if change.get("sha") not in (None, digest(loaded.out)) or loaded.code != 0:
            wrong.append(f"loads other bytes than were saved: {change}: {loaded.err.strip()[:200]}")
    # An edit counts for good once a rollback has replaced it, and for this check where the kill came in between.
    edits = [answer for answer in answers[seen["lines"]:] if "edit" in answer]
    replaced = [[a["edit"], a["digest"]] for a in edits if a.get("replaced") or a is answers[-1]]
    for name in PATHS:
        if (place.root / name).exists() and not is_document((place.root / name).read_bytes()):
            # A rollback may have written what `--jsonl` saved, laid out by the binary.
            if place.run("identify", name).code != 0:
                wrong.append(f"{name} is not whole")
    wrong += filter(None, [place.sound(), check_edits(place, rows, replaced), place.writable()])
    seen["lines"] = len(answers)
    memory.write_text(json.dumps(seen))
    return wrong


def check_edits(place: Place, rows: list[dict[str, Any]], edits: list[list[str]]) -> str | None:
    """What stood in a file before a rollback is on disk or in the archive."""
    for name, wanted in edits:
        path = place.root / name
        if path.exists() and digest(path.read_bytes()) == wanted:
            continue
        failed: list[str] = []
        for row in reversed(rows):
            if row["path"] == name and row["id"]:
                loaded = place.run("load", f"{name}@{row['version']}")
                if digest(loaded.out) == wanted:
                    break
                if loaded.code != 0:
                    failed.append(f"{loaded.shown()}: exit {loaded.code}: {loaded.err.strip()[:200]}")
        else:
            return f"an edit of {name}, {wanted[:8]}, is neither on disk nor in the archive; {failed[:3]}"
    return None


if __name__ == "__main__":
    there = Place(Path(sys.argv[2]), Path(sys.argv[3]))
    if sys.argv[1] == "work":
        run_number = int(sys.argv[4])
        work(there, random.Random(run_number), 1000 * (run_number + 1))
    else:
        problems = check(there, Path(sys.argv[4]))
        print("\n".join(problems[:5]))
        sys.exit(bool(problems))
