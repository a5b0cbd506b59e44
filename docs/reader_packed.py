"""Packed segments (format.md, "Packed segments"): their records as what stands in plain ones. Used by reader.py."""
from __future__ import annotations

from typing import Iterator, NamedTuple, Optional

PARENTS, TIME, FIELDS, COUNT = 2, 4, 8, 16              # bits of a commit's shape
FORM, CONTENT, BY_KEY = 0b111, 0b100000, 0b1000000      # of a change's flags
FORM_APART, FORM_LAID_OUT = 3, 4
SAVE, DELETE = 1, 3
GROUP = 32                                              # more changes than this have records of their own
MAX_COUNT, MAX_BASES = 1024, 2

Spot = tuple[int, int]                                  # the offset of an object's block, and its number there


class Block(NamedTuple):
    bases: list[Spot]
    ends: list[int]                                     # of each object in the content
    encoding: int
    payload: bytes


class Commit(NamedTuple):
    seq: int
    other_parents: list[bytes]
    recorded: int
    time: int
    fields: dict[int, bytes]
    count: int
    root: bytes                                         # where the changes have records of their own
    blocks: list[int]                                   # the offsets of these
    changes: list                                       # of (bytes, spots of the objects that the change names)


def numbers(cursor, count: int) -> list[int]:
    if not count:
        return []
    least, width = cursor.uvar(), cursor.take(1)[0]
    if width > 64:
        raise ValueError("a number of more than 64 bits")
    bits = int.from_bytes(cursor.take(-(-count * width // 8)), "little")
    mask = (1 << width) - 1
    return [least + (bits >> n * width & mask) for n in range(count)]


def uvar(n: int) -> bytes:
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def signed(n: int) -> int:
    return (n >> 1) ^ -(n & 1)


def object_block(cursor, offset: int) -> Block:
    encoding, count = cursor.take(1)[0], cursor.uvar()
    if encoding > 1 or count > MAX_BASES:
        raise ValueError("an object block of an unknown kind")
    bases = [(offset - cursor.uvar(), cursor.uvar()) for _ in range(count)]
    if any(not 0 <= block < offset for block, _ in bases):
        raise ValueError("an object block rests on one that is not in front of it")
    count = cursor.uvar()
    if not 1 <= count <= MAX_COUNT:
        raise ValueError("an object block with too few or too many objects")
    ends, end = [], 0
    for length in numbers(cursor, count):
        end += length
        ends.append(end)
    return Block(bases, ends, encoding, cursor.take(len(cursor.data) - cursor.pos))


class Changes:
    """The columns of changes; each change comes out as the bytes that stand for it in a plain segment."""

    def __init__(self, cursor, offset: int, count: int):
        self.cursor, self.offset = cursor, offset
        self.ops, self.flags, self.versions = (numbers(cursor, count) for _ in range(3))
        forms = [flags & FORM for flags in self.flags if flags & CONTENT]
        backs = numbers(cursor, forms.count(FORM_LAID_OUT))
        layouts = numbers(cursor, len(backs) - backs.count(0))
        spots = numbers(cursor, len(forms) + forms.count(FORM_APART) + backs.count(0))
        distances = numbers(cursor, len(spots) - spots.count(0))
        self.backs, self.layouts, self.spots, self.distances = map(iter, (backs, layouts, spots, distances))
        self.at = 0

    def spot(self) -> Optional[Spot]:
        number = next(self.spots)
        if not number:
            return None
        block = self.offset - next(self.distances)
        if not 0 <= block < self.offset:
            raise ValueError("an object outside its segment")
        return block, number - 1

    def next(self, text) -> tuple[bytes, list[Optional[Spot]]]:
        take, at, spots = self.cursor.take, self.at, []
        self.at += 1
        op, flags = self.ops[at], self.flags[at]
        out = bytes([op, flags]) + uvar(self.versions[at])
        if flags & BY_KEY:
            out += take(8)
        else:
            out += self.text(text)
        if flags & CONTENT:
            out += take(32)
            spots.append(self.spot())
            if flags & FORM == FORM_APART:
                out += take(32)
                spots.append(self.spot())
            elif flags & FORM == FORM_LAID_OUT:
                out += take(8)
                back = next(self.backs)
                out += uvar(back)
                if back:
                    out += uvar(next(self.layouts))
                else:
                    out += take(32)
                    spots.append(self.spot())
        if op not in (SAVE, DELETE):
            out += uvar(text.uvar()) + self.text(text)
        return out, spots

    @staticmethod
    def text(text) -> bytes:
        length = text.uvar()
        return uvar(length) + text.take(length)


def commit_block(cursor, offset: int, open_text) -> tuple[bytes, list[Commit]]:
    """The parent of the first commit, and the commits. `open_text` gives a cursor over the text that comes next."""
    seq, count = cursor.uvar(), cursor.uvar()
    if not 1 <= count <= MAX_COUNT:
        raise ValueError("a commit block with too few or too many commits")
    parent, recorded = cursor.take(32), cursor.ivar()
    shapes, times = numbers(cursor, count), [0, *numbers(cursor, count - 1)]
    if any(shape & ~(PARENTS | TIME | FIELDS | COUNT) for shape in shapes):
        raise ValueError("unknown shape of a commit")
    many = iter(numbers(cursor, sum(shape & COUNT > 0 for shape in shapes)))
    counts = [next(many) if shape & COUNT else 1 for shape in shapes]
    text = open_text(cursor)
    changes = Changes(cursor, offset, sum(count for count in counts if count <= GROUP))
    commits = []
    for shape, ahead, count in zip(shapes, times, counts):
        recorded += signed(ahead)
        parents = [text.take(32) for _ in range(text.uvar())] if shape & PARENTS else []
        time = recorded + (text.ivar() if shape & TIME else 0)
        fields = {}
        for _ in range(text.uvar() if shape & FIELDS else 0):
            tag = text.uvar()
            if tag <= max(fields, default=-1):
                raise ValueError("the fields are not in order")
            fields[tag] = text.take(text.uvar())
        root, blocks, here = b"", [], []
        if count <= GROUP:
            here = [changes.next(text) for _ in range(count)]
        else:
            root = text.take(32)
            blocks = [offset - text.uvar() for _ in range(-(-count // GROUP))]
        commits.append(Commit(seq, parents, recorded, time, fields, count, root, blocks, here))
        seq += 1
    text.finish()
    cursor.finish()
    return parent, commits


def change_block(cursor, offset: int, open_text) -> tuple[tuple[int, int, int], Iterator]:
    """The commit, the number of the first change, that of the objects in front of it; and the changes."""
    place, count = (cursor.uvar(), cursor.uvar(), cursor.uvar()), cursor.uvar()
    if not 1 <= count <= GROUP:
        raise ValueError("too few or too many changes in a record")
    text = open_text(cursor)
    changes = Changes(cursor, offset, count)
    found = [changes.next(text) for _ in range(count)]
    text.finish()
    cursor.finish()
    return place, found
