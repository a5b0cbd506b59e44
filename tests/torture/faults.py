"""System calls that fail in turn (strace), and writes that are cut short (a preload library)."""
from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from base import ARCHIVE, Call, Part, Place, call, digest, document, environment, fresh

CALLS = (
    "openat,pwrite64,write,fdatasync,fsync,rename,renameat2,renameat,mkdir,mkdirat,ftruncate,lseek,statx,newfstatat,"
    "flock,fcntl,pread64,read,unlink,unlinkat,getdents64,chmod,fchmod,chown,statfs,access,faccessat,faccessat2,readlink,mmap"
)
ERRORS = {
    "openat": ["EIO", "EMFILE", "EINTR", "EACCES", "ENOSPC"],
    "pwrite64": ["EIO", "ENOSPC", "EINTR", "EDQUOT"],
    "write": ["EIO", "ENOSPC", "EINTR"],
    "fdatasync": ["EIO", "ENOSPC", "EINTR"],
    "fsync": ["EIO", "ENOSPC", "EINTR"],
    "flock": ["EIO", "ENOLCK", "EINTR"],
    "fcntl": ["EIO", "ENOLCK", "EAGAIN"],
    "mmap": ["ENOMEM"],
    "mkdir": ["EIO", "ENOSPC", "EROFS"],
}
"""What each call fails with, where it is not only EIO and EINTR."""


@dataclass
class Command:
    """A call during which something fails."""

    name: str
    args: list[str]
    data: bytes | None = None


NEW = document("config.json", 5)
COMMANDS = [
    Command("save", ["save", "config.json", "metrics.json"]),
    Command("jsonl", ["save", "--jsonl", "--batch", "2"], b"".join(
        json.dumps({"path": "config.json", "doc": json.loads(document("config.json", n))}).encode() + b"\n" for n in range(8, 14))),
    Command("load", ["load", "config.json@1"]),
    Command("rollback", ["rollback", "config.json", "--to", "1"]),
    Command("load-o", ["load", "config.json@2", "-o", "config.json"]),
    Command("compact", ["compact"]),
    Command("reindex", ["reindex"]),
    Command("log", ["log"]),
    Command("verify", ["verify"]),
    Command("undo", ["undo", "HEAD"]),
    Command("mv", ["mv", "config.json", "old/config.json"]),
    Command("delete", ["delete", "metrics.json"]),
    Command("tag", ["tag", "best", "config.json@1"]),
    Command("status", ["status"]),
    Command("identify", ["identify", "-"], document("config.json", 1)),
    Command("ls", ["ls"]),
    Command("init", ["init", "lab"]),
]


def run(part: Part) -> None:
    """Fails calls one at a time, then cuts writes short."""
    settings = part.settings
    part.tried = "system calls that fail"
    model = fresh(settings.scratch / "faults" / "model")
    prepare(Place(settings.binary, model))
    if shutil.which("strace") is None:
        part.left_out.append("failing calls, as there is no strace")
    else:
        budget = settings.amount(10, 36, 10**9)
        for command in COMMANDS[:4] if settings.smoke else COMMANDS:
            fail_calls(part, model, command, budget)
    short_writes(part, model)


def prepare(place: Place) -> None:
    """Segments that are full, one that is packed, files with edits."""
    place.settings(segment_bytes=2048)
    place.save_versions("metrics.json", range(2))
    place.save_versions("config.json", range(3))
    place.must("compact", "--quiet")
    place.save_versions("config.json", range(3, 5))
    place.write("config.json", NEW)
    place.write("metrics.json", document("metrics.json", 5))


def fail_calls(part: Part, model: Path, command: Command, budget: int) -> None:
    """Fails each call of one command that touches the folder, with each error."""
    settings = part.settings
    root = settings.scratch / "faults" / "root"
    log = settings.scratch / "faults" / "trace"
    copy(model, root)
    args = with_head(settings.binary, root, command.args)
    trace = ["strace", "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={CALLS}", "-e", "signal=none"]
    whole = call(settings.binary, [*args, "--json"], root, data=command.data, before=trace)
    if whole.code > 1:
        part.fail(f"{command.name} does not work without a fault: {whole.err}")
        return
    seen: dict[str, int] = {}
    places: list[tuple[str, int]] = []
    for line in log.read_text(errors="replace").splitlines():
        found = re.match(r"\d+ +(\w+)\(", line)
        if not found:
            continue
        name = found.group(1)
        seen[name] = seen.get(name, 0) + 1
        if str(root) in line or (name == "write" and line.split("(")[1].startswith(("1<", "2<"))):
            places.append((name, seen[name]))
    cases = [(n, k, error) for n, k in places for error in ERRORS.get(n, ["EIO", "EINTR"])]
    random.Random(f"{settings.seed} {command.name}").shuffle(cases)
    # Calls that change something first: they are fewer.
    cases.sort(key=lambda case: case[0] in ("fcntl", "newfstatat", "statx", "pread64", "read", "readlink"))
    half = budget // 2
    changing = [c for c in cases if c[0] not in ("fcntl", "newfstatat", "statx", "pread64", "read", "readlink")]
    looking = cases[len(changing):]
    for name, number, error in changing[:half] + looking[: budget - min(half, len(changing))]:
        copy(model, root)
        if number % 2:
            # With an index that fits, as it mostly does; without this the call finds one of another place.
            call(settings.binary, ["ls"], root)
        args = with_head(settings.binary, root, command.args)
        inject = [*trace, "-e", f"inject={name}:error={error}:when={number}"]
        done = call(settings.binary, [*args, "--json"], root, data=command.data, before=inject)
        if "(INJECTED)" not in log.read_text(errors="replace"):
            continue
        part.count("faults")
        hit = next(line for line in log.read_text(errors="replace").splitlines() if "(INJECTED)" in line)
        what = f"{command.name}, {error} from {hit.split(' ', 1)[1].strip()[:150]}"
        for problem in after_fault(settings.binary, root, command, done, own_output=name == "write" and "<" in hit and str(root) not in hit):
            part.fail(f"{what}: {problem}", root)


def with_head(binary: Path, root: Path, args: list[str]) -> list[str]:
    """The arguments, HEAD being the newest commit."""
    if "HEAD" not in args:
        return args
    head = call(binary, ["head"], root).out.decode().strip()
    return [head if arg == "HEAD" else arg for arg in args]


def copy(model: Path, root: Path) -> None:
    """A fresh copy, whose index has been built for it."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(model, root, symlinks=True)


def after_fault(binary: Path, root: Path, command: Command, done: Call, own_output: bool = False) -> list[str]:
    """What is wrong after a call in which something failed."""
    problems = [done.trouble()]
    errors = [line for line in done.err.splitlines() if line.startswith('{"error"')]
    if done.code > 1 and not own_output:
        if len(errors) != 1:
            problems.append(f"exit {done.code} with {len(errors)} errors: {done.err.strip()[:300]}")
        elif not re.search(r"/|\.json|MANIFEST|lock|\blog\b|\.seg|index|\.backstory", json.loads(errors[0])["error"]["message"]):
            problems.append(f"the error names no file: {errors[0][:300]}")
    place = Place(binary, root)
    # What was acknowledged is there.
    if command.name not in ("log", "ls", "tag", "status", "identify") and done.out.startswith(b'{"path"') and b'"commit"' in done.out:
        rows = {(row["path"], row["version"]): row for row in place.rows()}
        for line in done.out.decode(errors="replace").split("\n")[:-1]:
            change = json.loads(line)
            if "status" in change and rows.get((change["path"], change["version"]), {}).get("commit") != change["commit"]:
                problems.append(f"acknowledged and not there: {line}")
    if command.name == "load" and done.code == 0 and not own_output and done.out != document("config.json", 0):
        problems.append("loads other bytes")
    if command.name == "verify" and done.code == 0 and not own_output and json.loads(done.out)["ok"] is not True:
        problems.append("verify found something and says exit 0")
    # What was there is there, and what stood on disk is not lost.
    for number in range(5):
        loaded = place.run("load", f"config.json@{number + 1}")
        if loaded.out != document("config.json", number):
            problems.append(f"config.json@{number + 1}: exit {loaded.code}: {loaded.err.strip()[:200]}")
    kept = {digest(f.read_bytes()) for f in root.rglob("*") if f.is_file() and ARCHIVE not in f.relative_to(root).parts}
    if digest(NEW) not in kept and place.run("identify", "-", data=NEW).code != 0:
        problems.append("the edit of config.json is neither on disk nor in the archive")
    problems += [place.sound(), place.writable()]
    return [problem for problem in problems if problem]


def short_writes(part: Part, model: Path) -> None:
    """Writes of which the system takes only a few bytes: the rest has to follow."""
    settings = part.settings
    shim = settings.tool("shim.c")
    if shim is None or shutil.which("gcc") is None:
        part.left_out.append("short writes, as there is no shim.c or no gcc")
        return
    library = settings.scratch / "faults" / "shim.so"
    subprocess.run(["gcc", "-O2", "-fPIC", "-shared", "-w", "-o", str(library), str(shim), "-ldl"], check=True)
    root = settings.scratch / "faults" / "root"
    log = settings.scratch / "faults" / "shim.log"
    commands = [c for c in COMMANDS if c.name in ("save", "jsonl", "rollback", "compact", "init")]
    for command in commands[: settings.amount(2, 9, 9)]:
        for number in range(1, settings.amount(3, 10, 40)):
            for taken in (1, 7, 100):
                copy(model, root)
                log.write_text("")
                (log.parent / "shim.log.cnt").unlink(missing_ok=True)
                env = environment(LD_PRELOAD=str(library), SHIM_DIR=str(root), SHIM_LOG=str(log), SHIM_FAULT=f"write:{number}:SHORT={taken}")
                done = call(settings.binary, [*command.args, "--json"], root, data=command.data, env=env)
                if log.read_text(errors="replace").count("\tWRITE\t") < number:
                    break
                part.count("short writes")
                what = f"{command.name}, write {number} takes {taken} bytes"
                if done.code != 0:
                    part.fail(f"{what}: exit {done.code}: {done.err.strip()[:300]}", root)
                for problem in after_fault(settings.binary, root, command, done):
                    part.fail(f"{what}: {problem}", root)
