"""Makes documents.json: tricky documents with their canonical form and id, by an implementation of its own.

    target/python/bin/python tests/vectors/make.py > tests/vectors/documents.json

Strings and structure are Python's json module, numbers the decimal module, the hash the package blake3.
"""

import json
import sys
from decimal import Decimal

import blake3


class Number(str):
    """A number as it is written."""


def layout(text):
    """ECMAScript's layout of the exact decimal value (ECMA-262, Number::toString)."""
    sign, digits, exponent = Decimal(text).as_tuple()
    digits = "".join(map(str, digits)).lstrip("0")
    stripped = digits.rstrip("0")
    exponent += len(digits) - len(stripped)
    digits = stripped
    if not digits:
        return "0"
    point = len(digits) + exponent
    if len(digits) <= point <= 21:
        out = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        out = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        out = "0." + "0" * -point + digits
    else:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        out = f"{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return ("-" if sign else "") + out


def canonical(value):
    if isinstance(value, Number):
        return layout(value)
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def tagged(name):
    return {"$number": name}


ACCEPTED = [
    ("empty object", "{}"),
    ("empty array", " [ ] "),
    ("null", "null"),
    ("a text alone", '"a"'),
    ("members out of order", '{"b": 1, "a": 2, "": 3, "aa": 4}'),
    ("order is that of UTF-16 code units", '{"\\ufb33": 1, "\\ud83d\\ude00": 2, "\\u20ac": 3, "\\r": 4, "1": 5, "\\u0080": 6, "\\u00f6": 7}'),
    ("escapes", '"\\u20ac$\\u000f\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/\\b\\f\\t\\r\\u007f\\u2028"'),
    ("a pair of surrogates", '"\\uD83D\\uDE00"'),
    ("combining marks stay apart", '["\\u00e5", "a\\u030a"]'),
    ("integers", "[0, -0, 1, -1, 10, 100, 123456789, 9007199254740991]"),
    ("integers that no double has", "[9007199254740993, -9007199254740993, 18446744073709551615, 123456789012345678901234567890]"),
    ("fractions", "[1.0, 1.50, 0.1, -0.0, 0.000001, 0.0000001, 1e-7, 123.456e1]"),
    ("fractions that no double has", "[0.1000000000000000055511151231257827, 3.14159265358979323846264338327950288]"),
    ("exponents", "[1e0, 1E+2, 1e20, 1e21, 1e22, 1.5e300, 1e-300, 5e-324, 1.7976931348623157e308]"),
    ("exponents that no double has", "[1e400, -1e400, 1e-400, 123e999]"),
    ("zeros in the middle", "[100.0010, 1000000000000000000000, 1000000000000000000001, 0.00100]"),
    ("a nested document", '{"a": {"b": [{"c": {}}, [[[]]], {"d": null}]}, "Z": [true, false]}'),
    ("white space", '\t{\r\n "a" : [ 1 ,\n2 ] }\n'),
    ("what looks like a tag and is none", '{"$number": "NaN", "a": {"$number": "1"}}'),
    ("names with escapes", '{"\\"": 1, "\\\\": 2, "\\u0041": 3, "/": 4}'),
    ("a long text", json.dumps("α😀\\\"" * 200)),
]

#: With `NaN` and the infinities tagged.
TAGGED = [
    ("not a number", "[NaN, Infinity, -Infinity, 1]"),
    ("not a number in an object", '{"loss": NaN, "best": -Infinity}'),
]

REFUSED = [
    ("nothing", ""),
    ("a name twice", '{"a": 1, "a": 2}'),
    ("a name twice by escapes", '{"a": 1, "\\u0061": 2}'),
    ("half a pair of surrogates", '"\\ud800"'),
    ("text behind the value", "1 2"),
    ("a trailing comma", "[1,]"),
    ("a leading zero", "01"),
    ("a bare point", "1."),
    ("a plus sign", "+1"),
    ("single quotes", "{'a': 1}"),
    ("a comment", "[1] // one"),
    ("a control character", '"\u0001"'),
    ("a byte order mark", "\ufeff[1]"),
    ("not a number", "NaN"),
]


def main():
    vectors = []
    for tags, rows in ((False, ACCEPTED), (True, TAGGED)):
        for name, text in rows:
            value = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=tagged)
            form = canonical(value)
            vectors.append(
                {
                    "name": name,
                    "text": text,
                    "nan": tags,
                    "canonical": form,
                    "id": blake3.blake3(form.encode()).hexdigest(),
                }
            )
    refused = [{"name": name, "text": text} for name, text in REFUSED]
    json.dump({"accepted": vectors, "refused": refused}, sys.stdout, indent=2, ensure_ascii=True)
    print()


if __name__ == "__main__":
    main()
