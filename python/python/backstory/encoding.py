"""JSON text as ``json.dump`` writes it, and what it can be made to hold."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import os
import sys
from typing import Any, Callable, Optional, Tuple, Type, Union

Default = Callable[[Any], Any]

#: JSON text, and what to lay it out with, where it is not laid out yet.
Text = Tuple[bytes, Optional[bytes]]

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def encode(
    data: Any,
    *,
    default: Optional[Default] = None,
    indent: Union[int, str, None] = 2,
    sort_keys: bool = False,
    ensure_ascii: bool = False,
    skipkeys: bool = False,
    allow_nan: bool = True,
    check_circular: bool = True,
    separators: Optional[Tuple[str, str]] = None,
    cls: Optional[Type[json.JSONEncoder]] = None,
) -> Text:
    """What ``json.dump`` with these arguments writes, in UTF-8.

    With an indentation Python's encoder leaves its fast path, so the text is made without white space and laid out by
    the native part. The bytes are the same.
    """
    if cls is not None or separators is not None or indent is None:
        text = json.dumps(
            data,
            default=default,
            indent=indent,
            sort_keys=sort_keys,
            ensure_ascii=ensure_ascii,
            skipkeys=skipkeys,
            allow_nan=allow_nan,
            check_circular=check_circular,
            separators=separators,
            cls=cls,
        )
        return text.encode("utf-8"), None
    unit = indent if isinstance(indent, str) else " " * indent
    encoder = _COMPACT
    if not (
        default is None
        and not sort_keys
        and not ensure_ascii
        and not skipkeys
        and allow_nan
        and check_circular
    ):
        encoder = json.JSONEncoder(
            default=default,
            sort_keys=sort_keys,
            ensure_ascii=ensure_ascii,
            skipkeys=skipkeys,
            allow_nan=allow_nan,
            check_circular=check_circular,
            separators=(",", ":"),
        )
    return encoder.encode(data).encode("utf-8"), unit.encode("utf-8")


def default(value: Any) -> Any:
    """A ``default=`` for numpy scalars and arrays, dates and times, paths, dataclasses and enums.

    Times become ISO 8601 text, paths text, dataclasses objects, enums their values. What comes back from a load is
    what JSON has: numbers, text, lists and dictionaries.

    >>> import datetime, json
    >>> json.dumps({"day": datetime.date(2026, 11, 1)}, default=default)
    '{"day": "2026-11-01"}'
    """
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        if isinstance(value, (numpy.datetime64, numpy.timedelta64)):
            return str(value)
        if isinstance(value, numpy.ndarray):
            if value.dtype.kind in "mM":
                return value.astype(str).tolist()
            return value.tolist()
        if isinstance(value, numpy.generic):
            item = value.item()
            if item is not value and not isinstance(item, numpy.generic):
                return item
    if isinstance(value, os.PathLike):
        path = os.fspath(value)
        if isinstance(path, str):
            return path
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_TAGS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _untag(value: Any) -> Any:
    if len(value) == 1 and "$number" in value:
        number = value["$number"]
        if isinstance(number, str) and number in _TAGS:
            return _TAGS[number]
    return value


def _number(text: str) -> Union[int, float]:
    """A number with a point or an exponent: a float, but for integers with digits that no float has."""
    number = float(text)
    exact = decimal.Decimal(text)
    written = decimal.Decimal(repr(number))
    if exact.adjusted() < MOST_DIGITS and exact != written and exact == exact.to_integral_value():
        return int(exact)
    return number


#: Longer integers are floats, as Python refuses to read their digits.
MOST_DIGITS = 4000


def decode_canonical(text: Union[str, bytes], tagged: bool) -> Any:
    """The value of canonical text, in which numbers that JSON does not have may be tagged."""
    return json.loads(text, parse_float=_number, object_hook=_untag if tagged else None)
