"""Proves that the parts can fail: each is run on a binary that breaks one promise, and has to find it."""
from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from base import Part, Settings, fresh

LIES = {
    "sync": ("never syncs", ["crash"]),
    "lost": ("forgets what it has acknowledged", ["kill", "crowd"]),
    "bytes": ("loads a byte too many", ["crash", "kill", "faults", "disk", "damage", "crowd"]),
    "blind": ("verifies without looking", ["damage"]),
    "condition": ("saves whatever --if-version says", ["crowd"]),
    "panic": ("ends with 101 instead of 7", ["faults", "disk"]),
    "aside": ("overwrites what stood on disk", ["crash", "kill", "faults"]),
}
NOSYNC = "int fsync(int fd) { (void)fd; return 0; }\nint fdatasync(int fd) { (void)fd; return 0; }\n"


def prove(settings: Settings, wanted: list[str]) -> bool:
    """Runs a little of each part on each lie that it has to find. Did all find them?"""
    base = fresh(settings.scratch / "prove")
    if shutil.which("gcc"):
        (base / "nosync.c").write_text(NOSYNC)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(base / "nosync.so"), str(base / "nosync.c")], check=True)
    os.environ.update(TORTURE_REAL=str(settings.binary), TORTURE_NOSYNC=str(base / "nosync.so"))
    liar = dataclasses.replace(settings, binary=Path(__file__).with_name("liar"), smoke=True, long=False)
    good = True
    for lie, (meaning, parts) in LIES.items():
        os.environ["TORTURE_LIE"] = lie
        for name in parts:
            if wanted and name not in wanted:
                continue
            started = time.monotonic()
            part = Part(name, liar)
            try:
                importlib.import_module(name).run(part)
            except (RuntimeError, AssertionError, ValueError) as error:
                # The lie has broken what the part prepares: that is finding it too.
                part.failures.append(f"cannot even begin: {error}")
            if part.left_out and not part.counts:
                print(f"{name:<8} left out    {part.left_out[0]}")
                continue
            good &= bool(part.failures)
            result = "found" if part.failures else "NOT FOUND"
            print(f"{name:<8} {result:<11} a binary that {meaning} ({time.monotonic() - started:.0f} s)", flush=True)
            for text in part.failures[:1]:
                print(f"           {text[:200]}", flush=True)
    return good
