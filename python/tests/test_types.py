"""The package is typed, and its types agree with each other and with a program that uses them."""

import pathlib
import subprocess
import sys
import textwrap

import backstory

PACKAGE = pathlib.Path(backstory.__file__).parent


def mypy(*arguments, cwd):
    call = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(cwd / "cache"), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
    )
    return call.stdout


def test_the_package_is_strictly_typed(tmp_path):
    assert (PACKAGE / "py.typed").exists()
    out = mypy("-p", "backstory", cwd=tmp_path)
    assert out.startswith("Success"), out


def test_a_program_sees_the_types(tmp_path):
    (tmp_path / "program.py").write_text(
        textwrap.dedent(
            """
            from backstory import Archive, Change, Version, save_json
            from backstory.aio import Archive as AsyncArchive

            change: Change = save_json({"a": 1}, "a.json", message="x")
            versions: "list[Version]" = Archive.of("a.json").history("a.json")
            reveal_type(versions[0].time)

            async def main(archive: AsyncArchive) -> None:
                reveal_type(await archive.history("a.json", limit=3))
                await archive.history(limit="three")
            """
        )
    )
    out = mypy("program.py", cwd=tmp_path)
    assert 'Revealed type is "datetime.datetime"' in out, out
    assert 'Revealed type is "backstory.records.Versions"' in out, out
    assert 'incompatible type "str"' in out and "Found 1 error" in out, out
