"""Disks that are full or read-only, folders without permission, limits on file sizes, clocks that jump."""
from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Iterator

from base import ARCHIVE, Call, Part, Place, call, document, environment, fresh

NOBODY = 65534


def run(part: Part) -> None:
    """Each kind of trouble in its turn."""
    part.tried = "full, read-only and forbidden disks, limits, clocks"
    base = fresh(part.settings.scratch / "disk")
    os.chmod(part.settings.scratch, 0o755)  # other users go in here too
    for trouble in (full_disk, file_size_limit, read_only, no_permission, few_files, clocks):
        trouble(part, fresh(base / trouble.__name__))


def mounted(part: Part, what: list[str], on: Path) -> bool:
    """Mounts, and says so where that is not allowed."""
    done = subprocess.run(["mount", *what, str(on)], capture_output=True, text=True)
    if done.returncode != 0:
        part.left_out.append(f"mount {' '.join(what)}: {done.stderr.strip()}")
    return done.returncode == 0


def judged(part: Part, done: Call, what: str, state: Path, codes: tuple[int, ...]) -> None:
    """One call in trouble: no panic, one of these codes, and an error that names a file."""
    part.count("calls")
    if done.trouble() or done.code not in codes:
        part.fail(f"{what}: {done.shown()}: exit {done.code}, not one of {codes}: {done.err.strip()[:300]}", state)
    elif done.code == 7 and not any(mark in done.err for mark in ("/", ".json", ".seg", "MANIFEST", "log", "lock")):
        part.fail(f"{what}: {done.shown()}: the error names no file: {done.err.strip()[:300]}", state)


def readable(part: Part, place: Place, versions: int, what: str) -> None:
    """The versions that were there load, and `verify` is content."""
    for number in range(versions):
        loaded = place.run("load", f"config.json@{number + 1}")
        if loaded.out != document("config.json", number):
            part.fail(f"{what}: config.json@{number + 1} loads no more: exit {loaded.code}: {loaded.err.strip()[:200]}", place.root)
            return
    if problem := place.sound():
        part.fail(f"{what}: {problem}", place.root)


def full_disk(part: Part, folder: Path) -> None:
    """A small tmpfs with more and more of it taken: commands fail, nothing is lost, and with room all goes on."""
    settings = part.settings
    if not mounted(part, ["-t", "tmpfs", "-o", "size=2m", "tmpfs"], folder):
        return
    try:
        place = Place(settings.binary, folder / "root")
        source = random.Random(settings.seed)
        ballast = folder / "ballast"
        for left in fill_levels(settings.amount(3, 16, 120)):
            ballast.unlink(missing_ok=True)
            fresh(place.root)
            place.settings(segment_bytes=4096)
            place.save_versions("config.json", range(4), 30)
            place.write("config.json", document("config.json", 9, 30))
            fill(folder, ballast, left)
            what = f"a disk with {left} bytes left"
            for args in source.sample(FULL_COMMANDS, 5):
                done = place.run(*args)
                # After `mv` the file has another name.
                moved = not (place.root / "config.json").exists()
                judged(part, done, what, place.root, (0, 1, 3, 4, 7) if moved else (0, 1, 4, 7))
            for number in range(4):
                loaded = place.run("load", f"config.json@{number + 1}")
                if loaded.out != document("config.json", number, 30):
                    part.fail(f"{what}: config.json@{number + 1}: exit {loaded.code}: {loaded.err.strip()[:200]}", place.root)
            judged(part, place.run("verify"), what, place.root, (0,))
            texts = [path.read_bytes() for path in place.root.rglob("*.json*") if path.is_file()]
            if document("config.json", 9, 30) not in texts and place.run("identify", "-", data=document("config.json", 9, 30)).code:
                part.fail(f"{what}: the edit is neither on disk nor in the archive", place.root)
            ballast.unlink()
            if problem := place.writable():
                part.fail(f"{what}, then room again: {problem}", place.root)
            part.count("full disks")
    finally:
        subprocess.run(["umount", str(folder)], check=False)


FULL_COMMANDS = [
    ["save", "config.json", "--json"],
    ["rollback", "config.json", "--to", "1", "--json"],
    ["load", "config.json@1", "-o", "config.json"],
    ["load", "config.json@1", "-o", "other.json"],
    ["compact"],
    ["reindex"],
    ["tag", "best", "config.json@1"],
    ["mv", "config.json", "old/config.json"],
    ["log"],
    ["status"],
]


def fill_levels(count: int) -> Iterator[int]:
    """How many bytes to leave, most of the levels being small; tmpfs counts in pages."""
    page = 4096
    for number in range(count):
        yield page * (number if number < 12 else 12 + (number - 12) * 3)


def fill(folder: Path, ballast: Path, left: int) -> None:
    """Takes all room but so many bytes."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    os.truncate(ballast, max(0, ballast.stat().st_size - left))


def file_size_limit(part: Part, folder: Path) -> None:
    """`ulimit -f`, with its signal ignored (an error then) and with its usual action (a kill)."""
    for ignored in (True, False):
        for blocks in (0, 1, 2, 4, 8, 16, 48, 64):
            place = Place(part.settings.binary, fresh(folder / "root"))
            place.save_versions("config.json", range(4), 30)
            place.write("config.json", document("config.json", 9, 30))
            limit = blocks * 1024
            trap = "trap '' XFSZ; " if ignored else ""
            script = f'{trap}ulimit -f {blocks}; exec "$@"'
            for args in (["save", "config.json"], ["rollback", "config.json", "--to", "1"], ["compact"], ["reindex"]):
                done = call(place.binary, args, place.root, before=["bash", "-c", script, "bash"])
                if not ignored and done.code in (-signal.SIGXFSZ, 128 + signal.SIGXFSZ):
                    part.count("calls killed by SIGXFSZ")
                    continue
                judged(part, done, f"files of at most {limit} bytes", place.root, (0, 4, 7))
            for number in range(4):
                if place.run("load", f"config.json@{number + 1}").out != document("config.json", number, 30):
                    part.fail(f"files of at most {limit} bytes: config.json@{number + 1} loads no more", place.root)
            for problem in filter(None, (place.sound(), place.writable())):
                part.fail(f"after files of at most {limit} bytes (signal ignored: {ignored}): {problem}", place.root)


READING = [["log"], ["load", "config.json@2"], ["verify"], ["ls"], ["status"], ["head"], ["stats"], ["identify", "config.json"],
           ["diff", "config.json@1", "@2"], ["tag", "--list"]]
WRITING = [["save", "metrics.json"], ["rollback", "config.json", "--to", "1"], ["delete", "config.json"], ["compact"],
           ["tag", "best", "config.json@1"], ["mv", "config.json", "b.json"], ["undo", "HEAD"]]


def read_only(part: Part, folder: Path) -> None:
    """A read-only mount: all that reads works, all that writes says 7."""
    place = Place(part.settings.binary, fresh(folder / "root"))
    place.save_versions("config.json", range(4))
    place.write("metrics.json", document("metrics.json", 1))
    head = place.run("head").out.decode().strip()
    if not mounted(part, ["--bind", str(place.root)], place.root):
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place.root)], check=True)
        for without_index in (False, True):
            env = environment(XDG_CACHE_HOME=str(folder / "cache")) if without_index else environment(XDG_CACHE_HOME="/proc/none")
            for args in READING + WRITING:
                args = [head if arg == "HEAD" else arg for arg in args]
                judged(part, place.run(*args, env=env), "a read-only mount", folder, (7,) if writes(args) else (0, 1))
        readable(part, place, 4, "a read-only mount")
    finally:
        subprocess.run(["umount", str(place.root)], check=False)
    if problem := place.writable():
        part.fail(f"after a read-only mount: {problem}", place.root)


def writes(args: list[str]) -> bool:
    """Does this call change the archive?"""
    return any(args[:2] == other[:2] for other in WRITING) or args[0] == "undo"


def no_permission(part: Part, folder: Path) -> None:
    """Another user who may read and not write, and one who may not read parts of it."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        part.left_out.append("other users, as this is not root or there is no setpriv")
        return
    # The binary may stand where the other user cannot go.
    binary = Path(shutil.copy(part.settings.binary, folder / "backstory"))
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    place = Place(binary, fresh(folder / "root"))
    place.save_versions("config.json", range(4))
    place.write("metrics.json", document("metrics.json", 1))
    head = place.run("head").out.decode().strip()
    if call(binary, ["--version"], place.root, before=as_nobody).code != 0:
        part.left_out.append("other users, as they cannot reach the scratch folder")
        return
    env = environment(HOME="/nonexistent", XDG_CACHE_HOME="/nonexistent")
    for args in READING + WRITING:
        args = [head if arg == "HEAD" else arg for arg in args]
        codes = (7,) if writes(args) else (0, 1)
        judged(part, call(binary, args, place.root, env=env, before=as_nobody), "a reader without write permission", place.root, codes)
    archive = place.root / ARCHIVE
    for name in ("archive.json", "log/MANIFEST", "log/00000001.seg", "index.sqlite", "index.sqlite-shm", "index.sqlite-wal", "lock", "log", "."):
        path = archive / name
        if not path.exists():
            continue
        mode = path.stat().st_mode
        os.chmod(path, 0)
        for args in (["log"], ["load", "config.json@2"], ["verify"], ["save", "metrics.json"]):
            done = call(binary, args, place.root, env=env, before=as_nobody)
            harmless = name.startswith("index") or name == "lock"
            codes = (0,) if harmless and args[0] not in ("save", "verify") else (0, 1, 3, 6, 7) if harmless else (1, 3, 6, 7)
            judged(part, done, f"no permission for {name}", place.root, codes)
            if args[0] == "load" and done.code == 0 and done.out != document("config.json", 1):
                part.fail(f"no permission for {name}: loads other bytes", place.root)
        os.chmod(path, mode)
    readable(part, place, 4, "after permissions were taken")
    if problem := place.writable():
        part.fail(f"after permissions were taken: {problem}", place.root)


def few_files(part: Part, folder: Path) -> None:
    """`ulimit -n`: so few open files that a call cannot do all."""
    place = Place(part.settings.binary, fresh(folder / "root"))
    place.settings(segment_bytes=1024)
    place.save_versions("config.json", range(12))
    for files in range(3, 16):
        place.write("config.json", document("config.json", 100 + files))
        for args in (["save", "config.json"], ["log"], ["verify"], ["load", "config.json@3"], ["compact"]):
            done = call(place.binary, args, place.root, before=["bash", "-c", f'ulimit -n {files}; exec "$@"', "bash"])
            if done.code == 127 or "loading shared libraries" in done.err:
                continue  # not even started
            judged(part, done, f"at most {files} open files", place.root, (0, 1, 7) if args[0] == "verify" else (0, 7))
            if args[0] == "load" and done.code == 0 and done.out != document("config.json", 2):
                part.fail(f"at most {files} open files: loads other bytes", place.root)
    readable(part, place, 12, "after few open files")


def clocks(part: Part, folder: Path) -> None:
    """A clock that jumps by years: saves work, and `recorded` never goes backwards."""
    if shutil.which("gcc") is None:
        part.left_out.append("clocks, as there is no gcc")
        return
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(["gcc", "-O2", "-fPIC", "-shared", "-o", str(library), str(source)], check=True)
    place = Place(part.settings.binary, fresh(folder / "root"))
    year = 365 * 86400
    # To 1970 and before it, to 2038 and far behind it.
    shifts = [0, -3 * year, 2 * year, -56 * year, -60 * year, 0, 13 * year, 300 * year, -10 * year, 7000 * year, 0]
    texts = []
    for number, shift in enumerate(shifts):
        env = environment(LD_PRELOAD=str(library), BACKSTORY_CLOCK_SHIFT=str(shift))
        place.write("config.json", document("config.json", number))
        part.count("clock jumps")
        for args in (["save", "config.json", "--json"], ["log"], ["verify"], ["load", "config.json@1"], ["status"], ["tag", "best", "config.json@1"]):
            done = place.run(*args, env=env)
            if done.trouble() or done.code != 0:
                part.fail(f"a clock moved by {shift // year} years: {done.shown()}: exit {done.code}: {done.err.strip()[:300]}", place.root)
            if args[0] == "save" and done.code == 0:
                texts.append(document("config.json", number))
    rows = place.rows()
    recorded = [row["recorded"] for row in rows if row["path"] == "config.json"]
    if any(later < earlier for earlier, later in zip(recorded, recorded[1:])):
        part.fail(f"recorded goes backwards: {recorded}", place.root)
    for number, text in enumerate(texts):
        if place.run("load", f"config.json@{number + 1}").out != text:
            part.fail(f"after clock jumps config.json@{number + 1} loads other bytes", place.root)
    for problem in filter(None, (place.sound(), place.writable())):
        part.fail(f"after clock jumps: {problem}", place.root)
