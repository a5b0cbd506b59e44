#!/usr/bin/env python3
"""A stand-alone reader of Backstory archives (format.md). It changes nothing in them.

    reader.py ARCHIVE                                   the history, one JSON object a line
    reader.py ARCHIVE cat [--canonical] PATH VERSION    the document as it was saved, or its canonical form
    reader.py ARCHIVE verify                            checks everything
    reader.py ARCHIVE dump FOLDER                       every version as FOLDER/N.source and FOLDER/N.canonical

ARCHIVE is the folder that holds .backstory, or .backstory itself.
Needs reader_layout.py and reader_packed.py beside it, Python 3.9 and two packages: pip install zstandard blake3
Exit codes: 0 fine, 1 damaged or not found, 2 wrong usage, 6 the archive holds something this reader does not know.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional

import zstandard
from blake3 import blake3

import reader_packed
from reader_layout import Layout

HEADER, OBJECT, CHANGES, COMMIT = 1, 2, 3, 4            # types of records
OBJECT_BLOCK, COMMIT_BLOCK, CHANGE_BLOCK = 5, 6, 7      # of packed segments
LOSS = 8                                                # what a repair has noted
OPS = {1: "save", 2: "rollback", 3: "delete", 4: "undelete", 5: "rename", 6: "rename-away",
       7: "undo", 8: "redo", 9: "tag", 10: "tag-delete"}
SAVE, DELETE, TAG = 1, 3, 9
FORM, TAGGED, CONTENT, BY_KEY, KNOWN_FLAGS = 0b111, 0b1000, 0b100000, 0b1000000, 0b1111111
FORM_CANONICAL, FORM_APART, FORM_LAID_OUT = 1, 3, 4
UNSYNCED, PARENTS, TIME, FIELDS, COUNT = 1, 2, 4, 8, 16  # bits of a commit's shape
DELTA, LOST = 2, 3                                      # encodings of objects
GROUP = 32                                              # changes in one changes record
MAX_OBJECT, MAX_LAYOUT, MAX_WINDOW, MAX_BLOCK = 2**32 - 1, 16 << 20, 128 << 20, 128 << 10
CACHE_SIZE, CACHED_LAYOUTS = 128 << 20, 256
TOKEN = rb'"[^"\\]*(?:\\.[^"\\]*)*"|\[\]|\{\}|[\[\]{},:]|[^\[\]{},:"]+'
TAGGED_NUMBER = rb'\{"\$number":"(NaN|-?Infinity)"\}'


class Unsupported(Exception):
    """Something that this reader does not know."""


class Wrong(ValueError):
    """Something that is not as it should be; `offset` is where a record or batch is not whole."""

    def __init__(self, what: str, offset: int = 0):
        super().__init__(what)
        self.offset = offset


class Cursor:
    """Takes fields from bytes and never reaches beyond their end."""

    def __init__(self, data: bytes, pos: int = 0):
        self.data, self.pos = data, pos

    def take(self, n: int) -> bytes:
        if n > len(self.data) - self.pos:
            raise Wrong("a field reaches beyond the end of its record")
        self.pos += n
        return self.data[self.pos - n:self.pos]

    def uvar(self) -> int:
        n = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            n |= (byte & 0x7F) << shift
            if byte < 0x80 and n < 2**64 and (byte or not shift):
                return n
            if byte < 0x80:
                break
        raise Wrong("not a valid number")

    def ivar(self) -> int:
        n = self.uvar()
        return (n >> 1) ^ -(n & 1)

    def text(self) -> str:
        return self.take(self.uvar()).decode()

    def finish(self) -> None:
        if self.pos != len(self.data):
            raise Wrong("a record holds more than its fields")


class Record(NamedTuple):
    type: int
    body: bytes
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start


class Object(NamedTuple):
    id: bytes
    place: str
    encoding: int
    base: tuple[int, int]                               # of a delta: the object that it rests on
    payload: bytes


class Commit(NamedTuple):
    id: bytes
    seq: int
    recorded: int
    time: int
    author: Optional[str]
    message: Optional[str]


@dataclass
class Version:
    path: str
    version: int
    op: int
    flags: int
    key: Optional[bytes] = None                         # stands for the path
    id: Optional[bytes] = None
    source: Optional[bytes] = None                      # where it is an object of its own
    check: bytes = b""                                  # of a source that a layout makes: the start of its BLAKE3
    layout: Optional[tuple[int, int]] = None            # the commit and the change that brought the layout
    brings: Optional[bytes] = None                      # the id of the layout that this change brings
    commit: Optional[Commit] = None


class Archive:
    def __init__(self, folder: Path, check_objects: bool):
        self.folder = folder / ".backstory" if (folder / ".backstory").is_dir() else folder
        self.check_objects = check_objects
        self.problems: list[str] = []
        self.versions: list[Version] = []
        self.objects: dict[tuple[int, int], Object] = {}        # by seq and place in the batch
        self.places: dict[bytes, list[tuple[int, int]]] = {}    # where an object stands in the log
        self.lost: list[tuple[bytes, str]] = []                 # objects that cannot be read, and why
        self.noted: set[tuple[str, int]] = set()                # versions that a repair has noted as lost
        self.losses = 0                                         # how many such notes there are
        self.packed: dict[tuple[int, int], tuple[str, tuple[int, int]]] = {}    # segment and place of packed objects
        self.blocks: dict[tuple[str, int], reader_packed.Block] = {}            # of objects, by segment and offset
        self.cache: OrderedDict[tuple, bytes] = OrderedDict()
        self.names: dict[bytes, str] = {}                       # of paths, by key
        self.brought: dict[tuple[int, int], bytes] = {}         # ids of layouts, by commit and change
        self.layouts: dict[bytes, Layout] = {}
        self.cached = self.commits = self.seq = self.recorded = 0
        self.gap = False                                        # damage may have swallowed commits
        self.read_identity()
        self.head = derive("archive identity", self.identity)
        self.read_log()
        for version in self.versions:
            # A commit behind may spell what none in front does; a path that none spells has no name.
            version.path = version.path or self.names.get(version.key, f"?{version.key.hex()}")
            if check_objects and version.layout and (version.path, version.version) not in self.noted:
                try:
                    self.source(version)
                except Wrong as error:
                    self.problems.append(f"the source of {version.path}@{version.version}: {error}")
        for id, why in self.lost:
            self.tell_lost(id, why)

    def tell_lost(self, id: bytes, why: str) -> None:
        """An object that cannot be read is a problem, but where it stands elsewhere too or was noted as lost."""
        needed = {(v.path, v.version) for v in self.versions if id in (v.id, v.source, v.brings)}
        try:
            self.find(id)
        except Wrong:
            if not self.losses or not needed <= self.noted:
                self.problems.append(why)

    def keyed(self, data: bytes) -> bytes:
        return blake3(data, key=self.key).digest()

    def report(self, segment: str, offset: int, what: object) -> None:
        self.problems.append(f"segment {segment} offset {offset}: {what}")
        self.gap = True

    def read_identity(self) -> None:
        line = (self.folder / "archive.json").read_bytes()
        try:
            identity, self.identity = json.loads(line), line[:-1]
            format, features, archive_id = identity["format"], identity["required"], bytes.fromhex(identity["archive"])
            if line[-1:] != b"\n" or identity["name"] != "backstory" or len(archive_id) != 16:
                raise Wrong("a member is not as it should be")
        except (ValueError, LookupError, TypeError) as error:
            raise Wrong(f"archive.json is not the identity of an archive: {error}") from None
        if format != 1 or features:
            raise Unsupported(f"the archive has format {format} and features {features}, this reader knows 1 and none")
        self.key = derive("record checksum", archive_id)
        self.path_key = derive("path key", archive_id)
        self.marker = bytes([COMMIT]) + derive("commit marker", archive_id)[:4]

    def read_log(self) -> None:
        first, _, rest = (self.folder / "log" / "MANIFEST").read_bytes().partition(b"\n")
        if rest != f"{self.keyed(first).hex()}\n".encode():
            raise Wrong("the checksum of log/MANIFEST does not hold")
        manifest = json.loads(first)
        segments = manifest["segments"]
        if manifest.get("required"):
            raise Unsupported(f"the archive needs {manifest['required']}, which this reader lacks")
        numbers, firsts = ([segment[name] for segment in segments] for name in ("number", "first_seq"))
        if len(set(numbers)) < len(numbers) or firsts != sorted(set(firsts)):
            raise Wrong("log/MANIFEST names a segment twice, or out of order")
        for segment, following in zip(segments, [*segments[1:], None]):
            name = f"{segment['number']:08}.seg"
            file = self.folder / "log" / name
            if segment["first_seq"] != self.seq + 1:
                self.report(name, 0, f"begins with commit {segment['first_seq']} instead of {self.seq + 1}")
            if not file.exists():
                self.report(name, 0, "the file is missing")
            elif following is None:
                self.read_segment(name, file.read_bytes(), active=True)
            else:
                data, length = file.read_bytes(), segment["sealed_length"]
                if len(data) != length:
                    self.report(name, min(len(data), length), f"does not end at its sealed length of {length}")
                if segment.get("packed"):
                    self.read_packed(name, data[:length])
                else:
                    self.read_segment(name, data[:length], active=False)
            if following is None:
                break
            if segment["last_commit"] != self.head.hex():
                self.report(name, segment["sealed_length"], "does not end with the commit that MANIFEST names")
            if following["first_seq"] > self.seq + 1:           # the history goes on as MANIFEST says
                self.head, self.seq = bytes.fromhex(segment["last_commit"]), following["first_seq"] - 1
                self.gap = False

    def read_segment(self, name: str, data: bytes, active: bool) -> None:
        pos = 0
        if active and not data:
            self.report(name, 0, "the segment is empty")
        while pos < len(data):
            try:
                records = self.read_batch(data, pos)
            except Wrong as broken:
                behind = list(self.commits_behind(data, broken.offset))
                if active and pos > 0 and all(synced <= broken.offset for _, synced in behind):
                    if data[pos:].strip(b"\0"):
                        print(f"note: segment {name} has a torn tail from offset {pos}", file=sys.stderr)
                    return
                self.report(name, broken.offset, broken)
                pos = behind[0][0] if behind else len(data)
                continue
            try:
                if records[-1].type == COMMIT:
                    self.read_commit(name, records)
                elif records[-1].type == LOSS:
                    self.read_loss(name, records)
                elif records[-1].body != self.identity:
                    raise Wrong("the header record does not hold what archive.json does")
            except ValueError as error:
                self.report(name, records[-1].start, error)
            pos = records[-1].end

    def read_packed(self, name: str, data: bytes) -> None:
        pos, groups = 0, {}
        while pos < len(data):
            try:
                record = self.read_record(data, pos)
            except Wrong as broken:
                self.report(name, pos, broken)
                pos = self.next_record(data, pos + 1)
                continue
            try:
                if record.type == HEADER and record.body != self.identity:
                    raise Wrong("the header record does not hold what archive.json does")
                if record.type == OBJECT_BLOCK:
                    self.blocks[name, pos] = reader_packed.object_block(Cursor(record.body), pos)
                elif record.type == CHANGE_BLOCK:
                    groups[pos] = record.body
                elif record.type == COMMIT_BLOCK:
                    self.read_commit_block(name, record, groups)
                elif record.type != HEADER:
                    raise Wrong("a record that no packed segment has")
            except (ValueError, StopIteration) as error:
                self.report(name, pos, error or "columns that do not fit together")
            pos = record.end

    def next_record(self, data: bytes, offset: int) -> int:
        """Where a whole record begins behind damage: each but the header has the marker behind its type."""
        pos = data.find(self.marker[1:], offset + 1)
        while pos >= 0:
            try:
                self.read_record(data, pos - 1)
                return pos - 1
            except (Wrong, Unsupported):
                pos = data.find(self.marker[1:], pos + 1)
        return len(data)

    def read_commit_block(self, name: str, record: Record, groups: dict[int, bytes]) -> None:
        parent, commits = reader_packed.commit_block(Cursor(record.body), record.start, open_text)
        for commit in commits:
            changes, brought = commit.changes, 0
            for offset in commit.blocks:
                if offset not in groups:
                    raise Wrong(f"the changes of commit {commit.seq} are missing")
                place, more = reader_packed.change_block(Cursor(groups[offset]), offset, open_text)
                if place != (commit.seq, len(changes), brought):
                    raise Wrong("the records of changes do not follow each other")
                changes = changes + more
                brought += sum(spot is not None for _, spots in more for spot in spots)
            if len(changes) != commit.count:
                raise Wrong("a commit with another number of changes")
            versions: list[Version] = []
            leaves: list[bytes] = []
            ordinal = 0
            for number, (data, spots) in enumerate(changes):
                version = self.take_change(Cursor(data), commit.seq, number, versions, leaves)
                for id, spot in zip(filter(None, (version.id, version.source or version.brings)), spots):
                    if spot is not None:
                        self.packed[commit.seq, ordinal] = name, spot
                        self.add_object((commit.seq, ordinal), Object(
                            id, f"segment {name} offset {spot[0]}", 0, (commit.seq, ordinal), b""))
                        ordinal += 1
                    elif id not in self.places:
                        self.lost.append((id, f"no record in front of commit {commit.seq} holds object {id.hex()}"))
            if commit.root and commit.root != merkle_root(leaves):
                raise Wrong("the Merkle root does not hold")
            self.add_commit(commit.seq, [parent, *commit.other_parents], commit.recorded, commit.time, commit.fields,
                            versions, leaves)
            parent = self.head

    def read_record(self, data: bytes, start: int) -> Record:
        try:
            cursor = Cursor(data, start)
            kind = cursor.take(1)[0]
            if kind in (COMMIT, OBJECT_BLOCK, COMMIT_BLOCK, CHANGE_BLOCK) and cursor.take(4) != self.marker[1:]:
                raise Wrong("not a commit of this archive")
            body = cursor.take(cursor.uvar())
            checksum = self.keyed(data[start:cursor.pos])[:4 if kind == OBJECT else 8]
            if cursor.take(len(checksum)) != checksum:
                raise Wrong("the checksum does not hold")
        except Wrong as error:
            raise Wrong(f"the record is not whole: {error}", start) from None
        if not HEADER <= kind <= LOSS:
            raise Unsupported(f"a record at offset {start} has the unknown type {kind}")
        return Record(kind, body, start, cursor.pos)

    def read_batch(self, data: bytes, start: int) -> list[Record]:
        """The records of the batch at `start`, or the one header record there."""
        records = [self.read_record(data, start)]
        while records[-1].type in (OBJECT, CHANGES):
            records.append(self.read_record(data, records[-1].end))
        last = records[-1]
        if COMMIT < last.type < LOSS:
            raise Wrong("a record of a packed segment", last.start)
        if last.type == HEADER and len(records) > 1:
            raise Wrong("a header record inside a batch", last.start)
        try:
            if last.type != HEADER and self.batch_start(data, last)[0] != start:
                raise Wrong("the batch does not begin where its commit says")
        except Wrong as error:
            raise Wrong(str(error), start) from None
        return records

    def batch_start(self, data: bytes, record: Record) -> tuple[int, int]:
        """Where the batch of a commit record begins, once its checksum holds, and its `synced_before`."""
        cursor = Cursor(record.body)
        before, shape = cursor.uvar(), 0 if record.type == LOSS else cursor.take(1)[0]
        unsynced = cursor.uvar() if shape & UNSYNCED else 0
        start = record.start - before
        if before and (start < 0 or cursor.take(8) != self.keyed(data[start:record.start])[:8]):
            raise Wrong("the checksum of the batch does not hold")
        return start, start - unsynced

    def commits_behind(self, data: bytes, offset: int) -> Iterator[tuple[int, int]]:
        pos = data.find(self.marker, offset)
        while pos >= 0:
            try:
                start, synced_before = self.batch_start(data, self.read_record(data, pos))
                if start > offset:
                    yield start, synced_before
            except Wrong:
                pass
            pos = data.find(self.marker, pos + 1)

    def read_loss(self, segment: str, records: list[Record]) -> None:
        """What a repair has noted: commits that are gone, their objects that are left, versions that are lost."""
        cursor = Cursor(records[-1].body)
        cursor.take(8 if cursor.uvar() else 0)
        _, first, count = cursor.ivar(), cursor.uvar(), cursor.uvar()
        if bool(first) != bool(count) or any(record.type != OBJECT for record in records[:-1]):
            raise Wrong("not a note of what is lost")
        if count:
            if first < self.seq + 1 or first > self.seq + 1 and not self.gap:
                raise Wrong("a note of lost commits is not in its place")
            self.head, self.seq = cursor.take(32), first + count - 1
            for ordinal, record in enumerate(records[:-1]):
                self.read_object(segment, (first, ordinal), record, b"")
        for _ in range(cursor.uvar()):
            path, number = cursor.text(), 0
            for _ in range(cursor.uvar()):
                number += cursor.uvar()
                self.noted.add((path, number))
        cursor.finish()
        self.losses += 1

    def read_commit(self, segment: str, records: list[Record]) -> None:
        cursor = Cursor(records[-1].body)
        before, shape = cursor.uvar(), cursor.take(1)[0]

        def unless(default: int, bit: int, read: Callable[[], int] = cursor.uvar) -> int:
            """A number that is left out where it is the usual one."""
            number = read() if shape & bit else default
            if shape & bit and number == default:
                raise Wrong("the shape of the commit says more than it has")
            return number

        if shape >= 2 * COUNT:
            raise Wrong(f"the shape {shape:#x} of the commit is unknown")
        unless(0, UNSYNCED)
        cursor.take(8 if before else 0)
        parents = [cursor.take(32) for _ in range(unless(1, PARENTS))]
        seq, recorded = cursor.uvar(), cursor.ivar()
        time, fields = recorded + unless(0, TIME, cursor.ivar), {}
        for _ in range(unless(0, FIELDS)):
            tag = cursor.uvar()
            if tag <= max(fields, default=-1):
                raise Wrong("the fields are not in order")
            fields[tag] = cursor.take(cursor.uvar())
        versions, leaves = self.read_changes(segment, seq, unless(1, COUNT), cursor, records)
        self.add_commit(seq, parents, recorded, time, fields, versions, leaves)

    def add_commit(self, seq: int, parents: list[bytes], recorded: int, time: int, fields: dict[int, bytes],
                   versions: list[Version], leaves: list[bytes]) -> None:
        field_bytes = b"".join(le64(tag) + le64(len(value)) + value for tag, value in fields.items())
        commit = Commit(
            derive("commit id", le64(len(parents)) + b"".join(parents) + le64(seq) + le64(recorded) + le64(time)
                   + derive("commit fields", field_bytes) + le64(len(leaves)) + merkle_root(leaves)),
            seq, recorded, time, *(fields[tag].decode() if tag in fields else None for tag in (1, 2)))
        for version in versions:
            version.commit = commit
        self.versions += versions
        follows = self.gap and seq > self.seq or parents[:1] == [self.head] and seq == self.seq + 1
        in_time = recorded >= self.recorded or not self.commits
        self.head, self.seq, self.recorded, self.gap = commit.id, seq, recorded, False
        self.commits += 1
        if not follows or not in_time:
            raise Wrong(f"commit {seq} does not follow the one in front")

    def read_changes(self, segment: str, seq: int, count: int, cursor: Cursor,
                     records: list[Record]) -> tuple[list[Version], list[bytes]]:
        objects = [record for record in records if record.type == OBJECT]
        groups = [record for record in records if record.type == CHANGES]
        used, used_bytes, root = 0, 0, None
        if records[:-1] != objects + groups or len(groups) != (-(-count // GROUP) if count > GROUP else 0):
            raise Wrong("the batch does not hold the records that its commit needs")
        if groups:
            root = cursor.take(32)
            if [cursor.uvar() for _ in groups] != [group.size for group in groups]:
                raise Wrong("a changes record has not the length that its commit says")
            cursor.finish()
        versions: list[Version] = []
        leaves: list[bytes] = []
        for number in range(len(groups) or 1):
            here = min(GROUP, count - len(leaves))
            if groups:
                cursor = Cursor(groups[number].body)
                expected = [len(leaves), used, used_bytes, here]
                if [cursor.uvar() for _ in expected] != expected:
                    raise Wrong("a changes record is not in its place")
            for _ in range(here):
                version = self.take_change(cursor, seq, len(leaves), versions, leaves)
                for id in filter(None, (version.id, version.source or version.brings)):
                    length = cursor.uvar()
                    if length == 0 and id not in self.places:
                        self.lost.append((id, f"no record in front of commit {seq} holds object {id.hex()}"))
                    elif length:
                        if used == len(objects) or objects[used].size != length:
                            raise Wrong(f"the record of object {id.hex()} is not in its place")
                        self.read_object(segment, (seq, used), objects[used], id)
                        used, used_bytes = used + 1, used_bytes + length
            cursor.finish()
        paths = [version.path.encode() for version in versions if version.path]
        if paths != sorted(set(paths)) or used != len(objects):
            raise Wrong("the changes are not in order, or an object belongs to none")
        if root and root != merkle_root(leaves):
            raise Wrong("the Merkle root does not hold")
        return versions, leaves

    def take_change(self, cursor: Cursor, seq: int, number: int, versions: list[Version],
                    leaves: list[bytes]) -> Version:
        start = cursor.pos
        version = read_change(cursor, seq, number)
        if version.brings:
            self.brought[version.layout] = version.brings
        leaves.append(derive("change leaf", cursor.data[start:cursor.pos]))
        if version.op < TAG:
            self.name(version)
            versions.append(version)
        return version

    def name(self, version: Version) -> None:
        """Knows the path of a change by its key, and the key by its path."""
        if version.key:
            version.path = self.names.get(version.key, "")
            return
        version.key = blake3(version.path.encode(), key=self.path_key).digest()[:8]
        if self.names.setdefault(version.key, version.path) != version.path:
            self.problems.append(f"the paths {self.names[version.key]} and {version.path} have the same key")

    def read_object(self, segment: str, key: tuple[int, int], record: Record, id: bytes) -> None:
        cursor, place = Cursor(record.body), f"segment {segment} offset {record.start}"
        encoding, base = cursor.take(1)[0], key
        if encoding > LOST:
            raise Unsupported(f"the object at {place} has the unknown encoding {encoding}")
        if encoding == DELTA:
            cursor.uvar()
            base = (key[0] - cursor.uvar(), cursor.uvar())
            if base >= key:
                raise Wrong(f"the object at {place} rests on a later one")
        self.add_object(key, Object(id, place, encoding, base, record.body[cursor.pos:]))

    def add_object(self, key: tuple[int, int], item: Object) -> None:
        self.objects[key] = item
        self.places.setdefault(item.id, []).append(key)
        if self.check_objects and item.id:
            try:
                self.content(key)
            except Wrong as error:
                self.lost.append((item.id, f"{item.place}: {error}"))

    def content(self, key: tuple[int, int]) -> bytes:
        """The content of an object: down to a base that is known or stands alone, then up again."""
        chain = []
        while key not in self.cache:
            chain.append(key)
            if self.object(key).encoding != DELTA:
                break
            key = self.object(key).base
        content = self.cache.get(key, b"")
        for key in reversed(chain):
            item = self.objects[key]
            if item.encoding == LOST:
                raise Wrong("it is lost, as a repair has noted")
            if key in self.packed:
                content = self.packed_content(*self.packed[key])
            elif item.encoding:
                content = decode_frame(item, content if item.encoding == DELTA else None)
            else:
                content = item.payload
            if item.id and blake3(content).digest() != item.id:
                raise Wrong(f"the object at {item.place} is not what its id says")
            self.keep(key, content)
        return content

    def keep(self, key: tuple, content: bytes) -> None:
        self.cache[key] = content
        self.cached += len(content)
        while self.cached > CACHE_SIZE:
            self.cached -= len(self.cache.popitem(last=False)[1])

    def packed_content(self, segment: str, spot: tuple[int, int]) -> bytes:
        """An object of a packed segment: decodes its block, and before that those it rests on."""
        offset, number = spot
        if (segment, offset) not in self.blocks:
            raise Wrong(f"the block at segment {segment} offset {offset} is missing")
        block = self.blocks[segment, offset]
        content = self.cache.get((segment, offset))
        if content is None:
            content = block.payload
            if block.encoding:
                prefix = b"".join(self.packed_content(segment, base) for base in block.bases)
                item = Object(b"", f"segment {segment} offset {offset}", 1, (0, 0), block.payload)
                content = decode_frame(item, prefix if block.bases else None)
            if len(content) != block.ends[-1]:
                raise Wrong(f"the block at segment {segment} offset {offset} has another length than it says")
            self.keep((segment, offset), content)
        if number >= len(block.ends):
            raise Wrong(f"the block at segment {segment} offset {offset} lacks an object")
        return content[block.ends[number - 1] if number else 0:block.ends[number]]

    def object(self, key: tuple[int, int]) -> Object:
        if key not in self.objects:
            raise Wrong(f"object {key[1]} of commit {key[0]} is missing, and others rest on it")
        return self.objects[key]

    def layout(self, place: tuple[int, int]) -> Layout:
        """A layout, by the commit and the change that brought it."""
        if place not in self.brought:
            raise Wrong(f"the layout that change {place[1]} of commit {place[0]} brought is missing")
        id = self.brought[place]
        if id not in self.layouts:
            encoded = self.find(id)
            if len(encoded) > MAX_LAYOUT:
                raise Wrong(f"the layout {id.hex()} is too large")
            layout = Layout(Cursor(encoded))
            if len(self.layouts) == CACHED_LAYOUTS:
                del self.layouts[next(iter(self.layouts))]
            self.layouts[id] = layout
        return self.layouts[id]

    def find(self, id: bytes) -> bytes:
        """An object by its id, from the first place where it is whole."""
        problem: Wrong = Wrong(f"no record holds object {id.hex()}")
        for place in self.places.get(id, []):
            try:
                return self.content(place)
            except Wrong as error:
                problem = error
        raise problem

    def canonical(self, version: Version) -> bytes:
        return self.find(version.id)

    def source(self, version: Version) -> bytes:
        if version.source:
            return self.find(version.source)
        canonical = self.canonical(version)
        if version.layout:
            try:
                layout = self.layout(version.layout)
            except Wrong as lost:
                return self.other_source(version, canonical, lost)
            try:
                source = layout.render(canonical, bool(version.flags & TAGGED))
            except (ValueError, LookupError) as error:
                raise Wrong(f"it cannot be rendered: {error}") from None
            if blake3(source).digest()[:8] != version.check:
                raise Wrong("its layout does not give it back")
            return source
        return canonical if version.flags & FORM == FORM_CANONICAL else pretty(canonical, version.flags & TAGGED)

    def other_source(self, version: Version, canonical: bytes, lost: Wrong) -> bytes:
        """The source by what is left of the commit that brought its layout, or by another layout of the path."""
        left = [self.content(key) for key, item in self.objects.items() if not item.id and key[0] == version.layout[0]]
        ids = {other.brings for other in self.versions if other.path == version.path and other.brings}
        for encoded in left + [self.find(id) for id in ids]:
            try:
                source = Layout(Cursor(encoded)).render(canonical, bool(version.flags & TAGGED))
            except (ValueError, LookupError):
                continue
            if blake3(source).digest()[:8] == version.check:
                return source
        raise lost


def derive(context: str, data: bytes) -> bytes:
    return blake3(data, derive_key_context="backstory 2026-11 " + context).digest()


def le64(n: int) -> bytes:
    return (n % 2**64).to_bytes(8, "little")


def merkle_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        raise Wrong("a commit without changes")
    if len(leaves) == 1:
        return leaves[0]
    left = 1 << (len(leaves) - 1).bit_length() - 1
    return derive("change node", merkle_root(leaves[:left]) + merkle_root(leaves[left:]))


def read_change(cursor: Cursor, seq: int, number: int) -> Version:
    op, flags = cursor.take(2)
    if op not in OPS or flags & ~KNOWN_FLAGS or flags & FORM > FORM_LAID_OUT:
        raise Unsupported(f"a change has the unknown operation {op} or unknown flags {flags:#x}")
    version = Version(version=cursor.uvar(), path="", op=op, flags=flags)
    if flags & BY_KEY and op >= TAG or flags & (FORM | TAGGED) and not flags & CONTENT:
        raise Wrong("a change has flags that do not go together")
    if flags & BY_KEY:
        version.key = cursor.take(8)
    else:
        version.path = cursor.text()
    if flags & CONTENT:
        version.id = cursor.take(32)
    if flags & FORM == FORM_APART:
        version.source = cursor.take(32)
    elif flags & FORM == FORM_LAID_OUT:
        version.check, back = cursor.take(8), cursor.uvar()
        if back == 0:
            version.brings = cursor.take(32)
        version.layout = (seq - back, cursor.uvar() if back else number)
    if op not in (SAVE, DELETE):
        cursor.uvar()
        cursor.text()
    return version


def open_text(cursor: Cursor) -> Cursor:
    """The text of a block of a packed segment."""
    encoding, payload = cursor.take(1)[0], cursor.take(cursor.uvar())
    if encoding > 1:
        raise Unsupported(f"the text of a block has the unknown encoding {encoding}")
    return Cursor(decode_frame(Object(b"", "a block's text", 1, (0, 0), payload), None) if encoding else payload)


def decode_frame(item: Object, base: Optional[bytes]) -> bytes:
    """What the frame of an object holds; it comes without its magic number."""
    frame = b"\x28\xb5\x2f\xfd" + item.payload
    try:
        size = zstandard.get_frame_parameters(frame).content_size
        if size > min(MAX_OBJECT, len(frame) * MAX_BLOCK):      # also where the size is not known
            raise Wrong(f"the object at {item.place} claims {size} bytes")
        prefix = None if base is None else zstandard.ZstdCompressionDict(base, zstandard.DICT_TYPE_RAWCONTENT)
        decoder = zstandard.ZstdDecompressor(dict_data=prefix, max_window_size=MAX_WINDOW)
        return decoder.decompress(frame, allow_extra_data=False)
    except (zstandard.ZstdError, MemoryError) as error:
        raise Wrong(f"the object at {item.place} cannot be decoded: {error}") from None


def pretty(canonical: bytes, tagged: int) -> bytes:
    """The pretty form of a document. Strings and numbers stay as they stand."""
    out, line = [], b"\n"
    for match in re.finditer(TAGGED_NUMBER + b"|" + TOKEN if tagged else TOKEN, canonical):
        token = match[match.lastindex or 0]
        if token in (b"[", b"{"):
            line += b"  "
            token += line
        elif token in (b"]", b"}"):
            line = line[:-2]
            token = line + token
        elif token in (b",", b":"):
            token += line if token == b"," else b" "
        out.append(token)
    return b"".join(out) + b"\n"


def rfc3339(micros: int) -> str:
    unit = "seconds" if micros % 10**6 == 0 else "milliseconds" if micros % 1000 == 0 else "microseconds"
    try:
        return (datetime(1970, 1, 1) + timedelta(microseconds=micros)).isoformat(timespec=unit) + "Z"
    except OverflowError:
        return f"{micros} microseconds"


def history_line(archive: Archive, version: Version) -> str:
    commit, source = version.commit, version.source
    if version.layout:
        try:
            source = blake3(archive.source(version)).digest()
        except Wrong:                                           # which is told as a problem
            source = None
    return json.dumps({
        "path": version.path, "version": version.version, "op": OPS[version.op],
        "id": version.id and version.id.hex(), "source": source and source.hex(),
        "commit": commit.id.hex(), "seq": commit.seq, "time": rfc3339(commit.time),
        "recorded": rfc3339(commit.recorded), "author": commit.author, "message": commit.message})


def main() -> int:
    usage = argparse.ArgumentParser(description="Reads a Backstory archive.")
    usage.add_argument("archive", type=Path)
    commands = usage.add_subparsers(dest="command")
    cat = commands.add_parser("cat")
    cat.add_argument("--canonical", action="store_true")
    cat.add_argument("path")
    cat.add_argument("version", type=int)
    commands.add_parser("verify")
    commands.add_parser("dump").add_argument("folder", type=Path)
    args = usage.parse_args()

    archive = Archive(args.archive, check_objects=args.command in (None, "verify"))
    with_content = [version for version in archive.versions if version.id]
    if args.command == "cat":
        found = [v for v in with_content if v.path == args.path and v.version == args.version]
        if not found:
            raise Wrong(f"there is no content at version {args.version} of {args.path}")
        sys.stdout.buffer.write(archive.canonical(found[0]) if args.canonical else archive.source(found[0]))
    elif args.command == "dump":
        args.folder.mkdir(parents=True, exist_ok=True)
        for n, version in enumerate(with_content, 1):
            try:
                (args.folder / f"{n}.canonical").write_bytes(archive.canonical(version))
                (args.folder / f"{n}.source").write_bytes(archive.source(version))
            except Wrong as error:
                archive.problems.append(f"version {version.version} of {version.path}: {error}")
    elif args.command is None:
        for version in archive.versions:
            print(history_line(archive, version))
    elif not archive.problems:
        print(f"ok: {archive.commits} commits, {len(archive.versions)} versions, {len(archive.objects)} objects, "
              f"head {archive.head.hex()}")
    sys.stdout.flush()
    for problem in archive.problems:
        print(problem, file=sys.stderr)
    return 1 if archive.problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unsupported as error:
        print(error, file=sys.stderr)
        sys.exit(6)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        print(f"the archive cannot be read: {error or type(error).__name__}", file=sys.stderr)
        sys.exit(1)
