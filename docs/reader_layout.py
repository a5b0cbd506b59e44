"""Layouts (layout.md): how a JSON text was written, and its bytes again from the canonical form. For reader.py.

What is malformed, or does not fit the document, raises ValueError or LookupError. That an encoding is the only one of
its layout is not checked: the rendering has a hash to be compared with.
"""
from __future__ import annotations

import json
import re
import sys
from typing import NamedTuple, Optional, Union

MAX_DEPTH, MAX_UNIT, MAX_EXPONENT, MAX_DIGITS, MAX_DECIMALS = 1024, 64, 400, 4, 32
MAX_FACTOR, MAX_EXTRA = 64, 64 * 1024                   # a rendering is at most this many times the canonical form, and
TEXT, ORDER, FLIP, BEFORE, COMMA, COLON_BEFORE, COLON_AFTER, CLOSE = range(8)       # kinds of exceptions
INTEGERS, ROOT, FOLDED = 1, 2, 3                        # collations
TOKEN = r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|[^\[\]{},:"\s]+'
TAG = r'\{"\$number":"(?:NaN|-?Infinity)"\}'
WEIGHTS = {byte: n for n, byte in enumerate(b" _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789", 1)}
WEIGHTS.update({letter + n: 64 + n for letter in b"Aa" for n in range(26)})
WEIGHTS.update({byte: byte for byte in range(0x80, 0x100)})

sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * MAX_DEPTH))


class Value(NamedTuple):
    kind: str                                           # "{", "[", "string", "number", "word" or "tag"
    token: int
    text: str
    items: list[tuple[int, str, "Value"]]               # token of the name (of the element), name, value


class Gap(NamedTuple):
    text: str
    indented: int


class Layout:
    """A layout, from a cursor that has `take`, `uvar`, `ivar` and `finish`."""

    def __init__(self, cursor) -> None:
        self.cursor = cursor
        if self.byte(255) != 1:
            raise ValueError("a layout of an unknown version")
        self.before, self.after, self.unit, *self.colon = (self.space(cursor.uvar()) for _ in range(5))
        if len(self.unit) > MAX_UNIT:
            raise ValueError("a unit of indentation that is too long")
        self.styles = [[[self.gap() for _ in range(4)] for _flat in range(2)] for _kind in "{["]
        self.empty = [self.gap(), self.gap()]
        self.flat = [self.byte(3), self.byte(3)]
        self.flat_from = cursor.uvar() - 1
        self.hexadecimal = "04X" if self.byte(1) else "04x"
        self.ascii = {self.byte(127): self.byte(2) for _ in range(cursor.uvar())}
        bounds = self.steps(2 * cursor.uvar())
        self.ranges = list(zip(bounds[::2], bounds[1::2]))
        self.low, self.high = cursor.ivar(), cursor.ivar()
        if max(abs(self.low), abs(self.high)) > MAX_EXPONENT:
            raise ValueError("an exponent that is too large")
        flags = self.byte(7)
        self.exponent, self.plus, self.point = "E" if flags & 1 else "e", "+" if flags & 2 else "", flags & 4
        self.digits = self.byte(MAX_DIGITS)
        self.root_decimals = self.byte(MAX_DECIMALS)
        self.names = [self.name() for _ in range(cursor.uvar())]
        self.rank = {name: n for n, name in enumerate(self.named(self.ids()))}
        self.collation = self.byte(3)
        orders = [self.named(self.ids()) for _ in range(cursor.uvar())]
        self.orders = {frozenset(order): order for order in orders}
        self.decimals = self.read_decimals(cursor.uvar())
        self.flips = set(self.named(self.steps(cursor.uvar())))
        self.exceptions = self.read_exceptions(cursor.uvar())
        cursor.finish()
        del self.cursor

    # Reading the encoding

    def byte(self, highest: int) -> int:
        byte = self.cursor.take(1)[0]
        if byte > highest:
            raise ValueError("a field of a layout is out of range")
        return byte

    def space(self, length: int) -> str:
        text = self.cursor.take(length).decode()
        if text.strip(" \t\n\r"):
            raise ValueError("white space expected")
        return text

    def gap(self) -> Gap:
        head = self.cursor.uvar()
        return Gap(self.space(head >> 1), head & 1)

    def steps(self, count: int) -> list[int]:
        found: list[int] = []
        for _ in range(count):
            found.append((found[-1] + 1 if found else 0) + self.cursor.uvar())
        return found

    def ids(self) -> list[int]:
        found: list[int] = []
        for _ in range(self.cursor.uvar()):
            found.append((found[-1] + 1 if found else 0) + self.cursor.ivar())
        if min(found, default=0) < 0 or len(set(found)) != len(found):
            raise ValueError("not an order")
        return found

    def name(self) -> str:
        name = bytearray()
        while byte := self.byte(255):
            name.append(byte)
        return name.decode()

    def named(self, ids: list[int]) -> list[str]:
        return [self.names[id] for id in ids]

    def read_decimals(self, count: int) -> dict[str, int]:
        found, next_id = {}, 0
        for _ in range(count):
            id = next_id + self.cursor.uvar()
            found[self.names[id]], next_id = self.byte(MAX_DECIMALS), id + 1
        return found

    def read_exceptions(self, count: int) -> dict[tuple[int, int], Union[None, str, list[int]]]:
        found: dict[tuple[int, int], Union[None, str, list[int]]] = {}
        token, former = 0, (-1, 0)
        for _ in range(count):
            token += self.cursor.uvar()
            kind = self.byte(CLOSE)
            if (token, kind) <= former:
                raise ValueError("exceptions out of order")
            former = token, kind
            if kind == TEXT:
                found[former] = self.cursor.take(self.cursor.uvar()).decode()
            elif kind == ORDER:
                found[former] = self.ids()
            else:
                found[former] = None if kind == FLIP else self.space(self.cursor.uvar())
        return found

    # Rendering

    def render(self, canonical: bytes, tagged: bool) -> bytes:
        """The text of the document; with `tagged`, its tags are written as bare literals."""
        document, count = parse(canonical.decode(), tagged)
        if any(token >= count for token, _ in self.exceptions):
            raise ValueError("the layout is not one of this document")
        self.out, self.left = [], len(canonical) * MAX_FACTOR + MAX_EXTRA
        self.put(self.before)
        self.value(document, 0, 0, None)
        self.put(self.after)
        return "".join(self.out).encode()

    def put(self, text: str) -> None:
        self.left -= len(text)
        if self.left < 0:
            raise ValueError("the rendering would be too large")
        self.out.append(text)

    def put_gap(self, gap: Gap, level: int, token: int, kind: int) -> None:
        """The white space of an exception, or else the gap."""
        text = self.exceptions.get((token, kind))
        self.put(gap.text + self.unit * level * gap.indented if text is None else text)

    def value(self, value: Value, level: int, depth: int, ruler: Optional[str]) -> None:
        """Writes a value with `depth` containers around it; `ruler` is the name that rules it."""
        if value.kind in "{[":
            self.container(value, level, depth, ruler)
        elif value.kind == "string":
            self.put(self.exceptions.get((value.token, TEXT)) or self.string(value.text))
        elif value.kind == "number":
            decimals = self.root_decimals if ruler is None else self.decimals.get(ruler, 0)
            self.put(self.exceptions.get((value.token, TEXT)) or self.number(value.text, decimals))
        else:
            self.put(value.text)

    def container(self, value: Value, level: int, depth: int, ruler: Optional[str]) -> None:
        is_array = value.kind == "["
        close = "]" if is_array else "}"
        self.put(value.kind)
        if not value.items:
            self.put_gap(self.empty[is_array], level, value.token, CLOSE)
            self.put(close)
            return
        style = self.styles[is_array][self.is_flat(value, depth, ruler)]
        inside = level + any(gap.indented for gap in style)
        opening, before_comma, behind_comma, closing = style
        former = None
        for token, name, item in value.items if is_array else self.arranged(value):
            if former is None:
                self.put_gap(opening, inside, token, BEFORE)
            else:
                self.put_gap(before_comma, inside, former, COMMA)
                self.put(",")
                self.put_gap(behind_comma, inside, token, BEFORE)
            if not is_array:
                self.put(self.exceptions.get((token, TEXT)) or self.string(name))
                self.put(self.exceptions.get((token, COLON_BEFORE), self.colon[0]))
                self.put(":")
                self.put(self.exceptions.get((token, COLON_AFTER), self.colon[1]))
            self.value(item, inside, depth + 1, ruler if is_array else name[1:-1])
            former = item.token
        self.put_gap(closing, level, value.token, CLOSE)
        self.put(close)

    def is_flat(self, value: Value, depth: int, ruler: Optional[str]) -> bool:
        rule = self.flat[value.kind == "["]
        kinds = {item.kind for _, _, item in value.items}
        flat = rule == 3 or rule == 2 and kinds == {"number"} or rule == 1 and not kinds & {"{", "["}
        return (flat or 0 <= self.flat_from <= depth) ^ (ruler in self.flips) ^ ((value.token, FLIP) in self.exceptions)

    def arranged(self, value: Value) -> list[tuple[int, str, Value]]:
        """The members of an object as they come."""
        positions = self.exceptions.get((value.token, ORDER))
        if positions is not None:
            if len(positions) != len(value.items):
                raise ValueError("the layout is not one of this document")
            return [value.items[position] for position in positions]
        members = {name[1:-1]: (token, name, item) for token, name, item in value.items}
        order = self.orders.get(frozenset(members)) or sorted(members, key=self.key)
        return [members[name] for name in order]

    def key(self, name: str) -> tuple:
        if name in self.rank:
            return 0, self.rank[name]
        text = name.encode()
        if self.collation == INTEGERS:
            integer = re.fullmatch(rb"0|[1-9][0-9]{0,9}", text) and int(text) < 2**32 - 1
            return (1, 0, int(text)) if integer else (1, 1)
        if self.collation == ROOT:
            return 1, [WEIGHTS.get(byte, 0) for byte in text], [65 <= byte <= 90 for byte in text]
        return (1, text.lower()) if self.collation == FOLDED else (1,)

    def string(self, text: str) -> str:
        if not self.ascii and not self.ranges:
            return text
        return '"' + re.sub(r"\\u.{4}|\\.|.", self.character, text[1:-1], flags=re.DOTALL) + '"'

    def character(self, match: re.Match) -> str:
        char = json.loads(f'"{match[0]}"')
        code = ord(char)
        spelling = self.ascii.get(code)
        if spelling == 2:
            return "\\/"
        if spelling == 1 or any(first <= code < end for first, end in self.ranges):
            units = char.encode("utf-16-be")
            return "".join(f"\\u{units[n] << 8 | units[n + 1]:{self.hexadecimal}}" for n in range(0, len(units), 2))
        return match[0]

    def number(self, text: str, decimals: int) -> str:
        sign, digits = text[:text.startswith("-")], text.lstrip("-")
        if digits.isdigit() and decimals == 0:
            return text
        digits, _, power = digits.partition("e")
        whole, _, fraction = digits.partition(".")
        digits = (whole + fraction).lstrip("0")
        exponent = int(power or 0) + len(digits) - len(fraction) - 1 if digits else 0
        digits = digits.rstrip("0")
        if self.low <= exponent <= self.high:
            whole = digits[:max(exponent + 1, 0)].ljust(exponent + 1, "0") or "0"
            fraction = ("0" * (-exponent - 1) + digits[max(exponent + 1, 0):]).ljust(decimals, "0")
            return sign + whole + ("." + fraction if fraction else "")
        point = "." + digits[1:] if digits[1:] else ".0" if self.point else ""
        power_sign = "-" if exponent < 0 else self.plus
        return f"{sign}{digits[:1] or 0}{point}{self.exponent}{power_sign}{abs(exponent):0{self.digits}}"


def parse(text: str, tagged: bool) -> tuple[Value, int]:
    """The document of a canonical form and how many tokens it has."""
    texts = re.findall(f"{TAG}|{TOKEN}" if tagged else TOKEN, text)
    at = token = 0

    def value(depth: int) -> Value:
        nonlocal at, token
        text, own, items = texts[at], token, []
        at, token = at + 1, token + 1
        if text not in ("{", "["):
            if text[0] == "{":
                return Value("tag", own, text[12:-2], items)
            kind = "string" if text[0] == '"' else "number" if text[0] in "-0123456789" else "word"
            return Value(kind, own, text, items)
        if depth == MAX_DEPTH:
            raise ValueError("a document that is nested too deeply")
        while texts[at] not in ("]", "}"):
            head, name = token, ""
            if text == "{":
                name, at, token = texts[at], at + 1, token + 1
            items.append((head, name, value(depth + 1)))
        at += 1
        return Value(text, own, text, items)

    document = value(0)
    if at != len(texts):
        raise ValueError("not one JSON value")
    return document, token
