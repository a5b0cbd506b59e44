"""Damage: bytes flipped, zeroed, cut, inserted and doubled in every file of an archive; segments swapped and dropped."""
from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

from base import ARCHIVE, Part, Place, digest, document, fresh

KINDS = ("flip", "zero", "ones", "cut", "insert", "double", "swap", "truncate", "append")
LOST_AT_ONCE = {"plain": 1, "packed": 32}
"""How many commits one damaged place may cost: a record, or a block of them where they are packed."""
CACHE = ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "lock")
"""Files that no fact rests on: damage in them may cost time and nothing else."""


@dataclass
class Model:
    """A whole archive and what is in it."""

    name: str
    root: Path
    contents: dict[tuple[str, int], str]
    active: str
    """The segment that takes commits: what is cut off its end can be a write that was never finished."""
    last_batch: int
    """Where the last batch begins in it."""
    commits: int
    head: str


def run(part: Part) -> None:
    """Damages copies of archives of real data, one place at a time."""
    settings = part.settings
    part.tried = "bytes and files damaged"
    base = fresh(settings.scratch / "damage")
    texts = list(real_texts(part, base, settings.amount(12, 60, 120)))
    models = [make(settings.binary, base, "plain", texts, compact=False), make(settings.binary, base, "packed", texts, compact=True)]
    for model in models:
        for path in files_of(model.root):
            damage_file(part, model, path, base / "copy")
        damage_files(part, model, models, base / "copy")
        older_copy(part, model, base / "copy")


def real_texts(part: Part, base: Path, count: int) -> Iterator[tuple[str, bytes]]:
    """Versions of documents from real data where it is there, made ones otherwise."""
    shared = part.settings.shared
    packed = shared / "data/fires.tar.zst" if shared else None
    if packed and packed.exists() and shutil.which("zstd"):
        folder = fresh(base / "fires")
        unpack(packed, folder, count)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in files[:count]:
            yield "fires.json", path.read_bytes()
    else:
        part.left_out.append("real data, as there is no fires.tar.zst or no zstd")
    maker = shared / "data/gen_results.py" if shared else None
    if maker and maker.exists():
        lines = base / "results"
        subprocess.run([sys.executable, str(maker), str(lines), "4", str(count // 6)], check=True, capture_output=True)
        for line in lines.read_text().splitlines():
            path, text = line.split("\t", 1)
            yield path + ".json", text.encode()
    for number in range(count // 2):
        yield "config.json", document("config.json", number)


def unpack(packed: Path, folder: Path, count: int) -> None:
    """The first files of a compressed tar archive."""
    stream = subprocess.Popen(["zstd", "-dcq", "--long=27", str(packed)], stdout=subprocess.PIPE)
    assert stream.stdout
    with tarfile.open(fileobj=stream.stdout, mode="r|") as tar:
        done = 0
        for member in tar:
            if not member.isfile():
                continue
            data = tar.extractfile(member)
            assert data
            (folder / f"{done:05}.json").write_bytes(data.read())
            done += 1
            if done == count:
                break
    stream.kill()
    stream.wait()
    stream.stdout.close()


def make(binary: Path, base: Path, name: str, texts: list[tuple[str, bytes]], compact: bool) -> Model:
    """An archive of these texts in segments that are short, and what a last commit of its own leaves."""
    place = Place(binary, fresh(base / name))
    place.settings(segment_bytes=16384)
    for path, text in texts:
        place.must("save", "-", "--as", path, "--quiet", data=text)
    if compact:
        place.must("compact", "--quiet")
        for number in range(90, 94):
            place.must("save", "-", "--as", "config.json", "--quiet", data=document("config.json", number))
    place.must("tag", "best", "config.json@1")
    lengths = {path: path.stat().st_size for path in (place.root / ARCHIVE / "log").glob("*.seg")}
    place.must("save", "-", "--as", "last.json", "--quiet", data=b'{"last": [1,  2]}')
    (active,) = [path for path, length in lengths.items() if path.stat().st_size != length]
    place.must("reindex", "--quiet")
    rows = place.rows()
    contents = {
        (row["path"], row["version"]): digest(place.must("load", f"{row['path']}@{row['version']}").out) for row in rows if row["id"]
    }
    assert len(set(contents.values())) > len(texts) // 2
    head = json.loads(place.must("head", "--json").out)
    return Model(name, place.root, contents, active.name, lengths[active], head["seq"], head["commit"])


def files_of(root: Path) -> list[Path]:
    """Every file of the archive, named from its folder."""
    archive = root / ARCHIVE
    return sorted(path.relative_to(archive) for path in archive.rglob("*") if path.is_file() and path.name != "settings.json")


def harm(data: bytes, kind: str, at: int, source: random.Random) -> bytes:
    """The bytes with one kind of damage at one place."""
    size = min(source.choice((1, 2, 16, 200)), len(data) - at)
    piece = data[at:at + size]
    if kind == "flip":
        return data[:at] + bytes([data[at] ^ (1 << source.randrange(8))]) + data[at + 1:]
    if kind == "zero":
        return data[:at] + b"\0" * size + data[at + size:]
    if kind == "ones":
        return data[:at] + b"\xff" * size + data[at + size:]
    if kind == "cut":
        return data[:at] + data[at + size:]
    if kind == "insert":
        return data[:at] + source.randbytes(size) + data[at:]
    if kind == "double":
        return data[:at] + piece + data[at:]
    if kind == "swap":
        other = source.randrange(len(data))
        low, high = sorted((at, other))
        return data[:low] + data[high:high + 64] + data[low + 64:high] + data[low:low + 64] + data[high + 64:]
    if kind == "truncate":
        return data[:at]
    return data + source.choice((b"\0" * 500, source.randbytes(40), piece))


def damage_file(part: Part, model: Model, path: Path, copy: Path) -> None:
    """Damages one file at sampled places, in all ways."""
    settings = part.settings
    data = (model.root / ARCHIVE / path).read_bytes()
    if not data:
        return
    source = random.Random(f"{settings.seed} {model.name} {path}")
    small = len(data) < 300 and path.name not in CACHE
    times = settings.amount(1, 4, 400) if not small else settings.amount(3, 12, 5 * len(data))
    for number in range(times):
        kind = KINDS[(number + source.randrange(3)) % len(KINDS)]
        at = source.randrange(len(data))
        if kind == "truncate" and source.random() < 0.3:
            at = 0
        changed = harm(data, kind, at, source)
        if changed == data:
            continue
        renew(model, copy)
        (copy / ARCHIVE / path).write_bytes(changed)
        what = f"{model.name}: {kind} at {at} of {len(data)} in {path}"
        if path.name in CACHE:
            judge(part, model, copy, what, must_find=False, cache=True)
        elif path.name == model.active:
            # An end that is missing is a write that was never finished; so is damage in the last batch.
            must_find = data[: model.last_batch] != changed[: model.last_batch] and kind != "truncate"
            judge(part, model, copy, what, must_find, may_end_early=not must_find)
        else:
            judge(part, model, copy, what, must_find=True, one_place=kind in ("flip", "zero", "ones", "insert", "double"))


def renew(model: Model, copy: Path) -> None:
    """A fresh copy of the archive."""
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(model.root, copy)


def judge(part: Part, model: Model, copy: Path, what: str, must_find: bool, cache: bool = False,
          may_end_early: bool = False, one_place: bool = False, codes: tuple[int, ...] = (1, 6)) -> None:
    """Holds a damaged archive against the promises: found, no wrong bytes, and the rest still there."""
    part.count("damaged archives")
    place = Place(part.settings.binary, copy)
    problems: list[str] = []
    source = random.Random(what)
    checked = place.run("verify", "--json")
    problems += filter(None, [checked.trouble()])
    report = json.loads(checked.out) if checked.code in (0, 1) and checked.out else {"findings": [], "commits": 0}
    affected = {(one["path"], one["version"]) for finding in report["findings"] for one in finding["affects"]}
    # A path whose name is lost is named by its key.
    keyed = {version for path, version in affected if path.startswith("?")}
    listed = place.run("log", "--json")
    problems += filter(None, [listed.trouble()])
    known = {(row["path"], row["version"]) for row in listed.lines()} if listed.code == 0 else set()
    unreadable = checked.code in (6, 7)
    if must_find and checked.code not in codes:
        problems.append(f"verify does not find it: exit {checked.code} {checked.out.decode()[:200]}")
    if one_place and checked.code == 1 and model.commits - report["commits"] > LOST_AT_ONCE[model.name]:
        problems.append(f"one damaged place has cost {model.commits - report['commits']} commits")
    if cache and checked.code not in (0,):
        # What verify says of an index is a finding; after a reindex it must be gone.
        part.count("index findings")
        again = place.run("reindex")
        if again.code != 0 or place.run("verify").code != 0:
            problems.append(f"reindex does not help: exit {again.code}: {again.err.strip()[:200]} {checked.out.decode()[:200]} {checked.err[:200]}")
    if checked.code not in (0, *codes) and not problems:
        problems.append(f"verify: exit {checked.code}: {checked.err.strip()[:200]}")
    names = sorted(model.contents)
    for name in source.sample(names, min(len(names), 7)) + [("last.json", 1)]:
        loaded = place.run("load", f"{name[0]}@{name[1]}")
        problems += filter(None, [loaded.trouble()])
        if loaded.code == 0:
            if digest(loaded.out) != model.contents[name]:
                problems.append(f"{name} loads other bytes")
            continue
        if loaded.code not in (3, 6, 7):
            problems.append(f"{name}: exit {loaded.code}: {loaded.err.strip()[:200]}")
        told = name in affected or name[1] in keyed or unreadable
        # A commit that is lost takes the names of its versions along.
        gone = name not in known and (may_end_early or report["commits"] < model.commits)
        if not told and not gone:
            problems.append(f"{name} does not load, and verify does not name it: exit {loaded.code}: {loaded.err.strip()[:200]}")
    for args in (("ls",), ("stats",), *([("compact",)] if source.random() < 0.2 else [])):
        problems += filter(None, [place.run(*args).trouble()])
    saved = place.run("save", "-", "--as", "next.json", "--json", data=b'{"next":  1}')
    problems += filter(None, [saved.trouble()])
    if saved.code == 0 and place.run("load", "next.json").out != b'{"next":  1}':
        problems.append("what was saved after the damage loads other bytes")
    if saved.code not in (0, 6, 7):
        problems.append(f"the next save: exit {saved.code}: {saved.err.strip()[:200]}")
    for problem in problems[:3]:
        part.fail(f"{what}: {problem}", copy)


def damage_files(part: Part, model: Model, models: list[Model], copy: Path) -> None:
    """Segments and lists that stand where others belong, or nowhere."""
    log = Path(ARCHIVE) / "log"
    segments = sorted(path.name for path in (model.root / log).glob("*.seg"))
    other = next(other for other in models if other is not model)
    foreign = sorted((other.root / log).glob("*.seg"))
    cases: list[tuple[str, Callable[[], object]]] = []
    for name in segments:
        cases.append((f"without {name}", lambda name=name: (copy / log / name).unlink()))
        cases.append((f"{name} empty", lambda name=name: (copy / log / name).write_bytes(b"")))
        cases.append((f"{name} from another archive", lambda name=name: shutil.copy(foreign[0], copy / log / name)))
        cases.append((f"{name} a folder", lambda name=name: ((copy / log / name).unlink(), (copy / log / name).mkdir())))
    for one, two in zip(segments, segments[1:]):
        cases.append((f"{one} and {two} swapped", lambda one=one, two=two: swap(copy / log / one, copy / log / two)))
        cases.append((f"{one} in the place of {two}", lambda one=one, two=two: shutil.copy(copy / log / one, copy / log / two)))
    for name in ("archive.json", "log/MANIFEST"):
        cases.append((f"without {name}", lambda name=name: (copy / ARCHIVE / name).unlink()))
        cases.append((f"{name} of another archive", lambda name=name: shutil.copy(other.root / ARCHIVE / name, copy / ARCHIVE / name)))
    source = random.Random(part.settings.seed)
    for what, change in cases if part.settings.long else source.sample(cases, min(len(cases), part.settings.amount(3, 16, 0))):
        renew(model, copy)
        change()
        # A folder that is no file cannot be read: that is for the system to say.
        judge(part, model, copy, f"{model.name}: {what}", must_find=True, codes=(1, 6, 7) if "folder" in what else (1, 6))
    unnamed = copy / log / "00000999.seg"
    renew(model, copy)
    shutil.copy(foreign[0], unnamed)
    judge(part, model, copy, f"{model.name}: a foreign segment that MANIFEST does not name", must_find=False)
    for name in CACHE:
        renew(model, copy)
        (copy / ARCHIVE / name).unlink(missing_ok=True)
        judge(part, model, copy, f"{model.name}: without {name}", must_find=False, cache=True)
        if (other.root / ARCHIVE / name).exists():
            renew(model, copy)
            shutil.copy(other.root / ARCHIVE / name, copy / ARCHIVE / name)
            judge(part, model, copy, f"{model.name}: {name} of another archive", must_find=False, cache=True)


def swap(one: Path, two: Path) -> None:
    """Exchanges the contents of two files."""
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)


def older_copy(part: Part, model: Model, copy: Path) -> None:
    """An older copy of the archive is whole in itself; `verify --head` shows it."""
    renew(model, copy)
    place = Place(part.settings.binary, copy)
    place.must("save", "-", "--as", "later.json", "--quiet", data=b"[1]")
    head = place.must("head").out.decode().strip()
    if place.run("verify", "--head", head).code != 0 or place.run("verify", "--head", model.head).code != 0:
        part.fail(f"{model.name}: verify --head refuses commits that are there", copy)
    # The log goes back, its index stays.
    shutil.rmtree(copy / ARCHIVE / "log")
    shutil.copytree(model.root / ARCHIVE / "log", copy / ARCHIVE / "log")
    part.count("older copies")
    if place.run("verify", "--head", head).code != 1:
        part.fail(f"{model.name}: verify --head does not see that an older copy was put back", copy)
    loaded = place.run("load", "later.json")
    if loaded.code == 0:
        part.fail(f"{model.name}: a version that is no longer in the log loads", copy)
    judge(part, model, copy, f"{model.name}: an older log under a newer index", must_find=False, may_end_early=True)
