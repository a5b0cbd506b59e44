"""Checks one state that a crash has left: crash_check.py FACTS DIR ACK. Says what is wrong, exit 1; called by crashsim.py."""
import hashlib
import json
import os
import subprocess
import sys

LOADS = 8
"""So many versions are loaded, newest first; `verify` reads all of them."""


class Wrong(Exception):
    """A promise is broken."""


def run(facts: dict, root: str, *args: str, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Runs the binary; no call may panic or be killed, whatever it meets."""
    done = subprocess.run([facts["binary"], *args], cwd=root, input=data, capture_output=True, timeout=60)
    if not 0 <= done.returncode <= 8 or b"panicked" in done.stderr:
        raise Wrong(f"{args}: exit {done.returncode}: {done.stderr.decode()[-300:]}")
    return done


def must(facts: dict, root: str, *args: str, data: bytes = b"") -> bytes:
    """Runs a command that has to work."""
    done = run(facts, root, *args, data=data)
    if done.returncode != 0:
        text = (done.stdout if "verify" in args else b"") + done.stderr
        raise Wrong(f"{args}: exit {done.returncode}: {text.decode()[-300:]}")
    return done.stdout


def lines(output: bytes) -> list:
    """JSON lines; one that was cut by the crash was not read by anyone as an answer."""
    return [json.loads(line) for line in output.split(b"\n")[:-1] if line.startswith(b"{")]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check_history(facts: dict, root: str, acknowledged: list) -> list:
    """What was acknowledged is there; commits are whole; contents are those that were saved."""
    rows = lines(must(facts, root, "log", "--json"))
    there = {(row["path"], row["version"]): row for row in rows}
    for answer in acknowledged:
        if "status" not in answer:
            continue
        row = there.get((answer["path"], answer["version"]))
        if row is None or (row["id"], row["commit"]) != (answer["id"], answer["commit"]):
            raise Wrong(f"acknowledged {answer['rev']} of commit {answer['commit'][:8]} is not there, but {row}")
    if acknowledged:
        must(facts, root, "verify", "--quick", "--head", acknowledged[-1]["commit"])
    commits: dict = {}
    for row in reversed(rows):
        commits.setdefault(str(row["seq"]), []).append([row["path"], row["version"], row["id"], row["commit"]])
        if "count" in row["meta"]:
            same = sum(other["commit"] == row["commit"] for other in rows)
            if same != int(row["meta"]["count"]):
                raise Wrong(f"commit {row['seq']} has {same} of {row['meta']['count']} paths")
    for seq, changes in commits.items():
        if changes[0][0] == "probe.json":
            continue  # saved by the recovery that was crashed
        if facts["exact"] and changes != facts["commits"].get(seq):
            raise Wrong(f"commit {seq} is {changes}, and was {facts['commits'].get(seq)}")
    for row in rows[:LOADS]:
        if row["id"] is None:
            continue
        loaded = must(facts, root, "load", f"{row['path']}@{row['version']}")
        if row["id"] in facts["known"] and digest(loaded) not in facts["known"][row["id"]]:
            raise Wrong(f"{row['rev']} loads other bytes")
    return rows


def check_files(facts: dict, root: str, rows: list) -> None:
    """Each working file has old or new bytes whole, and no content that stood on disk is lost."""
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".backstory")]
        for name in names:
            if name.startswith(".backstory-") and name.endswith(".tmp"):
                continue
            with open(os.path.join(folder, name), "rb") as file:
                content = digest(file.read())
            if content not in facts["files"]:
                raise Wrong(f"{name} has bytes that are neither the old nor the new content")
            found.add(content)
    lost = {name: content for name, content in facts["present"].items() if content not in found}
    if not lost:
        return
    archived = set()
    for row in rows:
        if row["id"]:
            archived.add(digest(must(facts, root, "load", f"{row['path']}@{row['version']}")))
    for name, content in lost.items():
        if content not in archived:
            raise Wrong(f"what stood in {name} is neither on disk nor in the archive")


def check_goes_on(facts: dict, root: str, rows: list) -> None:
    """The archive is whole, takes the next save, and has lost nothing by it."""
    must(facts, root, "verify")
    text = b'{"probe": [1, 2,   3]}'
    change = lines(must(facts, root, "save", "-", "--as", "next.json", "--json", data=text))[0]
    if must(facts, root, "load", f"next.json@{change['version']}") != text:
        raise Wrong("the next save loads other bytes")
    must(facts, root, "verify")
    after = lines(must(facts, root, "log", "--json"))
    if [row for row in after if row["path"] != "next.json"] != rows:
        raise Wrong("the next save has changed the history")


def main() -> int:
    with open(sys.argv[1]) as file:
        facts = json.load(file)
    root = sys.argv[2]
    with open(sys.argv[3], "rb") as file:
        acknowledged = [answer for answer in lines(file.read()) if "commit" in answer]
    try:
        if not os.path.exists(os.path.join(root, ".backstory")):
            if acknowledged:
                raise Wrong("there is no archive, though saves were acknowledged")
            os.makedirs(root, exist_ok=True)
            must(facts, root, "init")
        rows = check_history(facts, root, acknowledged)
        check_files(facts, root, rows)
        check_goes_on(facts, root, rows)
    except Wrong as wrong:
        print(wrong)
        return 1
    return 0


sys.exit(main())
