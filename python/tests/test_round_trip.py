"""Data come back as ``json`` gives them back, from the file and from the archive."""

import json
import math
import struct
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backstory
from backstory import Archive, encoding

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(),
    texts,
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.tuples(inner, inner),
        st.dictionaries(texts, inner, max_size=5),
        st.dictionaries(st.integers(), inner, max_size=3),
    ),
    max_leaves=20,
)
options = st.fixed_dictionaries(
    {},
    optional={
        "indent": st.one_of(st.none(), st.integers(min_value=-1, max_value=5), st.sampled_from(["", "\t", "ab"])),
        "sort_keys": st.booleans(),
        "ensure_ascii": st.booleans(),
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]),
    },
)


def same(a, b):
    """Equal, with 1 and 1.0 and the signs of zeros told apart, and the order of members."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    return a == b


quick = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plainly(data):
    """Numbers as the decimals that they are written as."""
    if isinstance(data, dict):
        return {name: plainly(data[name]) for name in data}
    if isinstance(data, list):
        return [plainly(item) for item in data]
    if isinstance(data, (int, float)) and not isinstance(data, bool):
        return Decimal(repr(data)) if math.isfinite(data) else str(data)
    return data


def written(data, kwargs):
    return json.dumps(data, **{"indent": 2, "ensure_ascii": False, **kwargs})


@quick
@given(values, options)
def test_the_text_is_that_of_json_dumps(data, kwargs):
    try:
        expected = written(data, kwargs)
    except TypeError:
        return  # Names of two types cannot be sorted.
    text, unit = encoding.encode(data, **kwargs)
    if unit is not None:
        text = backstory._native.indent(text, unit)
    assert text == expected.encode()


@quick
@given(st.lists(values, min_size=1, max_size=3))
def test_files_and_versions_hold_what_json_holds(project, rows):
    archive = Archive(project, create=True)
    path = project / "a.json"
    for data in rows:
        expected = json.loads(written(data, {}))
        version = backstory.save_json(data, path).version
        assert path.read_text("utf-8") == written(data, {})
        assert same(backstory.load_json(path), expected)
        assert same(backstory.load_json(path, version=version), expected)
        assert same(archive.load("a.json", version), expected)
        canonical = archive.load_bytes("a.json", version, form="canonical")
        tagged = archive.version("a.json", version)._row["nan"]
        # The canonical form says only what numbers are: 1.0 is 1.
        assert plainly(encoding.decode_canonical(canonical, tagged)) == plainly(expected)


@quick
@given(values)
def test_documents_of_an_archive_keep_their_order(data):
    archive = Archive.in_memory()
    archive.save("a", data if not isinstance(data, str) else json.dumps(data))
    assert same(archive.load("a"), json.loads(json.dumps(data)))


def test_examples_that_went_wrong_elsewhere(project):
    data = {
        "float": 1.0,
        "zero": -0.0,
        "tiny": 5e-324,
        "big": 2**64 + 1,
        "bigger": 10**400,
        "nan": float("nan"),
        "infinite": [float("inf"), float("-inf")],
        "z": 1,
        "a": 2,
        "tuple": (1, (2,)),
        "": {},
        "text": "\x00\x7f\u2028😀\"\\/",
    }
    backstory.save_json(data, "a.json")
    expected = json.loads(json.dumps(data))
    for back in (backstory.load_json("a.json"), backstory.load_json("a.json", version=1)):
        assert same(back, expected)
    assert Archive(".").blame("a.json", pointer="/nan")[0].pointer == "/nan"
    assert math.isnan(Archive(".").series("a.json", "/nan")["/nan"][0])


def test_names_that_are_no_text(project):
    data = {1: "int", 2.5: "float", True: "bool", None: "null"}
    backstory.save_json(data, "a.json")
    assert backstory.load_json("a.json") == json.loads(json.dumps(data))
    backstory.save_json({(1, 2): 3, "a": 1}, "a.json", skipkeys=True)
    assert backstory.load_json("a.json") == {"a": 1}
