"""Examples in the README and in docstrings are run as they stand."""

import contextlib
import doctest
import importlib
import io
import pathlib
import pkgutil
import re

import pytest

import backstory

README = pathlib.Path(__file__).parents[2] / "README.md"


def blocks():
    section = README.read_text("utf-8").split("\n## Python\n")[1].split("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.S)


def test_the_readme(project):
    """A line that ends in ``# → x`` must print x, or have it as its value."""
    names = {}
    shown = 0
    assert len(blocks()) == 2
    for block in blocks():
        for statement in re.split(r"\n(?=[^\s#])", block.strip()):
            code, _, expected = statement.partition("# → ")
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                try:
                    value = eval(compile(code.strip(), "README", "eval"), names)
                except SyntaxError:
                    exec(compile(code, "README", "exec"), names)
                    value = None
            if expected:
                shown += 1
                said = out.getvalue().splitlines()[0] if out.getvalue() else repr(value)
                assert said == expected.strip(), statement
    assert shown >= 4


MODULES = [name for _, name, _ in pkgutil.iter_modules(backstory.__path__, "backstory.") if not name.endswith("_native")]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(project, name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0


def test_enough_of_them_have_examples():
    finder = doctest.DocTestFinder()
    examples = [t for name in MODULES for t in finder.find(importlib.import_module(name)) if t.examples]
    assert len(examples) >= 12


def test_every_public_name_is_described():
    for name in backstory.__all__:
        assert getattr(backstory, name).__doc__, name
    for name, member in vars(backstory.Archive).items():
        if not name.startswith("_"):
            assert member.__doc__, name
