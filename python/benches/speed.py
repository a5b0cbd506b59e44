"""How long save_json and load_json take beside what they are made of.

    pip install ./python
    cargo build --release --package backstory-python --bin save_loop
    python python/benches/speed.py [ROUNDS] [FOLDER]

In each round, in an order that changes and on the same file system: ``save_json`` of a dictionary of 2 KB; the same text saved by the Rust
library in a process of its own, which times itself; the same text written to a temporary file and renamed, as users'
own save_json does, once with json.dump and once with the text made already; then ``load_json`` and ``json.load``.
Medians in microseconds.
"""

import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

from backstory import load_json, save_json

ROOT = pathlib.Path(__file__).parents[2]


def child(folder):
    program = ROOT / "target/release/save_loop"
    if not program.exists():
        sys.exit("first: cargo build --release --package backstory-python --bin save_loop")
    return subprocess.Popen([program, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def document(number, chance):
    """About 2 KB: settings that stay, metrics that change."""
    return {
        "run": "run_001",
        "epoch": number,
        "loss": chance.random(),
        "metrics": {f"metric_{n}": round(chance.random(), 6) for n in range(30)},
        "settings": {f"setting_{n}": n * 0.5 for n in range(25)},
        "notes": "the quick brown fox jumps over the lazy dog " * 8,
    }


def replace(path, text):
    temporary = path + ".tmp"
    with open(temporary, "wb") as file:
        file.write(text)
    os.replace(temporary, path)


def timed(call):
    begun = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - begun


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    chance = random.Random(1)
    names = ("save_json", "rust save", "write", "json.dump and write", "load_json", "json.load")
    times = {name: [] for name in names}
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else ".") as folder:
        os.makedirs(f"{folder}/rust")
        rust = child(f"{folder}/rust")
        os.chdir(folder)
        os.makedirs("python/.git")
        save_json({}, "python/run.json")
        replace("plain.json", b"{}")
        for number in range(rounds + 100):
            data = document(number, chance)
            text = json.dumps(data, indent=2, ensure_ascii=False)

            def rust_save():
                print(json.dumps(text), file=rust.stdin, flush=True)
                return int(rust.stdout.readline())

            def plain():
                replace("plain.json", json.dumps(data, indent=2, ensure_ascii=False).encode())

            def load():
                with open("plain.json", encoding="utf-8") as file:
                    json.load(file)

            calls = {
                "save_json": lambda: timed(lambda: save_json(data, "python/run.json")),
                "rust save": rust_save,
                "write": lambda: timed(lambda: replace("plain.json", text.encode())),
                "json.dump and write": lambda: timed(plain),
                "load_json": lambda: timed(lambda: load_json("python/run.json")),
                "json.load": lambda: timed(load),
            }
            # The call behind a sync finds a processor that has slept: each has its turn there.
            order = list(calls)
            chance.shuffle(order)
            for name in order:
                if number >= 100:
                    times[name].append(calls[name]())
                else:
                    calls[name]()
        rust.stdin.close()
        rust.wait()
        size = os.path.getsize("plain.json")
        os.chdir(ROOT)
    median = {name: statistics.median(row) / 1000 for name, row in times.items()}
    print(f"{rounds} rounds, documents of {size} bytes; medians in microseconds")
    for name in names:
        print(f"{name:>20}  {median[name]:8.1f}")
    parts = median["rust save"] + median["write"]
    print(f"save_json / (rust save + write)                {median['save_json'] / parts:.2f}")
    whole = median["rust save"] + median["json.dump and write"]
    print(f"save_json / (rust save + json.dump and write)  {median['save_json'] / whole:.2f}")
    print(f"load_json / json.load                          {median['load_json'] / median['json.load']:.2f}")


if __name__ == "__main__":
    main()
