"""Threads, processes and event loops."""

import asyncio
import concurrent.futures
import json
import multiprocessing
import os
import signal
import threading
import time

import pytest

import backstory
from backstory import Archive, aio, load_json, save_json

SAVES = 12


def save_some(worker, path="shared.json"):
    for number in range(SAVES):
        save_json({"worker": worker, "number": number}, path)
    return os.getpid()


def check(path, count):
    archive = Archive.of(path)
    versions = archive.history(path)
    assert [v.version for v in versions] == list(range(count, 0, -1))
    saved = [v.load() for v in reversed(versions)]
    assert len({json.dumps(data, sort_keys=True) for data in saved}) == count
    for worker in {data["worker"] for data in saved}:
        numbers = [data["number"] for data in saved if data["worker"] == worker]
        assert numbers == sorted(numbers)
    assert archive.verify().ok
    return saved


def test_threads_on_one_file(project):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(save_some, range(8)))
    saved = check("shared.json", 8 * SAVES)
    assert load_json("shared.json") == saved[-1]
    assert sorted(os.listdir(".")) == [".backstory", "pyproject.toml", "shared.json"]


def test_threads_on_files_of_their_own(project):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: save_some(n, f"{n}.json"), range(8)))
    for n in range(8):
        assert load_json(f"{n}.json")["number"] == SAVES - 1
    assert Archive(".").stats().versions == 8 * SAVES


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_on_one_file(project, method):
    save_json({"worker": -1, "number": 0}, "shared.json")
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(3, mp_context=context) as pool:
        pids = set(pool.map(save_some, range(3)))
    assert os.getpid() not in pids
    saved = check("shared.json", 3 * SAVES + 1)
    assert load_json("shared.json") == saved[-1]


def test_an_archive_goes_to_other_processes(project):
    archive = Archive(".", create=True)
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        list(pool.map(archive.save, ["a", "b"], [[1], [2]]))
    assert [v.rev for v in archive.list()] == ["a@1", "b@1"]
    with pytest.raises(backstory.UsageError):
        Archive.in_memory().__reduce__()


def test_an_error_comes_back_from_another_process(project):
    save_json([1], "a.json")
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        with pytest.raises(backstory.NotFoundError, match="no version 9"):
            pool.submit(load_json, "a.json", version=9).result()


def in_child(work):
    """Runs work in a forked child, which must end in time."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError("the child hangs")


def test_a_child_uses_what_its_parent_had_open(project):
    save_json([0], "a.json")
    archive = Archive(".")
    archive.save("b", [0])

    def work():
        save_json([1], "a.json")
        archive.save("b", [1])
        assert len(archive.history("b")) == 2

    assert in_child(work) == 0
    save_json([2], "a.json")
    archive.save("b", [2])
    assert [v.load() for v in archive.history("b")] == [[2], [1], [0]]
    assert [v.load() for v in archive.history("a.json")] == [[2], [1], [0]]
    assert archive.verify().ok


def test_a_child_of_a_child(project):
    save_json([0], "a.json")

    def inner():
        save_json([2], "a.json")

    def outer():
        save_json([1], "a.json")
        assert in_child(inner) == 0

    assert in_child(outer) == 0
    assert [v.load() for v in Archive(".").history("a.json")] == [[2], [1], [0]]


def test_forks_while_threads_are_at_work(project):
    """Locks that a thread holds in the library are never copied into a child."""
    stop = threading.Event()
    failures = []

    def busy(worker):
        number = 0
        try:
            while not stop.is_set():
                number += 1
                save_json({"worker": worker, "number": number}, f"{worker}.json")
                Archive(".").sql("SELECT count(*) FROM versions")
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=busy, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(25):
            assert in_child(lambda: save_json([number], "child.json")) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    archive = Archive(".")
    assert [v.load()[0] for v in archive.history("child.json")] == list(range(24, -1, -1))
    assert archive.verify().ok


def test_a_fork_that_waits_lets_others_go_on(project):
    """A thread waits for the lock of the archive, a fork for the thread, and the lock is freed by a third."""
    import fcntl

    archive = Archive(".", create=True)
    archive.save("a", [0])
    with open(".backstory/lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        saver = threading.Thread(target=archive.save, args=("a", [1]))
        saver.start()
        threading.Timer(0.3, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
        time.sleep(0.05)
        assert in_child(lambda: archive.save("a", [2])) == 0
        saver.join()
    # Without that the saver would have given up.
    assert len(archive.history("a")) == 3


def test_a_killed_writer_leaves_whole_versions(project):
    save_json([0], "a.json")
    pid = os.fork()
    if pid == 0:
        number = 0
        while True:
            number += 1
            save_json([number], "a.json")
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    archive = Archive(".")
    assert archive.verify().ok
    newest = archive.version("a.json")
    assert load_json("a.json")[0] in (newest.version - 1, newest.version - 2)
    assert save_json(["end"], "a.json").version == newest.version + 1


def test_the_gil_is_released(project):
    """While one thread waits for the lock of the archive, others run."""
    archive = Archive(".", create=True)
    archive.save("a", [0])
    holder = Archive(".")
    import fcntl

    with open(".backstory/lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=holder.save, args=("a", [1]))
        thread.start()
        for _ in range(50):
            time.sleep(0.001)
        assert archive.load("a") == [0] and thread.is_alive()
        fcntl.flock(lock, fcntl.LOCK_UN)
    thread.join(30)
    assert archive.load("a") == [1]


def test_busy(project):
    import fcntl

    archive = Archive(".", create=True, wait=0.05)
    archive.save("a", [0])
    with open(".backstory/lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(backstory.BusyError) as caught:
            archive.save("a", [1])
    assert isinstance(caught.value, TimeoutError)


def test_asyncio(project):
    async def work():
        await asyncio.gather(*(aio.save_json({"worker": n, "number": 0}, "shared.json") for n in range(10)))
        assert (await aio.load_json("shared.json"))["number"] == 0
        archive = await aio.Archive.of("shared.json")
        assert len(await archive.history("shared.json")) == 10
        await archive.save("b", {"x": 1}, message="b")
        async with archive.batch(message="two") as b:
            b.save("c", [1])
            b.save("d", [2])
        assert [change.rev for change in b.changes] == ["c@1", "d@1"]
        assert (await archive.load("b")) == {"x": 1}
        assert str(await archive.diff("c@1", "d@1")).endswith("1 changed")
        with pytest.raises(backstory.NotFoundError):
            await aio.load_json("shared.json", version=99)
        async with await aio.Archive.open(".") as other:
            assert (await other.verify()).ok
        assert (await aio.load_json("shared.json", version=1, archive=archive))["number"] == 0

    asyncio.run(work())


def test_asyncio_saves_what_data_were_at_the_call(project):
    async def work():
        data = {"n": 1}
        task = asyncio.ensure_future(aio.save_json(data, "a.json"))
        await asyncio.sleep(0)
        data["n"] = 2
        await task
        assert await aio.load_json("a.json") == {"n": 1}

    asyncio.run(work())


def test_asyncio_has_the_same_names():
    for name in dir(Archive):
        if not name.startswith("_") and name != "handle":
            assert hasattr(aio.Archive, name), name
    assert set(aio.__all__) <= set(backstory.__all__)
