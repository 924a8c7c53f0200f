"""Calls in threads, and no more of them than agreed."""

import asyncio
import threading

import pytest

from kgpm.errors import UserError
from kgpm.serving.kserve.call_queue import Busy
from kgpm.serving.kserve.call_queue import CallQueue


def test_calls_beyond_the_queue_are_refused_and_later_ones_taken():
    queue = CallQueue(2, max_waiting=1)
    gate = threading.Event()
    most = 0
    running = 0
    lock = threading.Lock()

    def work(number):
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        gate.wait()
        with lock:
            running -= 1
        return number

    async def ask():
        calls = [asyncio.create_task(queue.run(work, i)) for i in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(Busy, match="answers 3 requests already"):
            await queue.run(work, 3)
        gate.set()
        assert await asyncio.gather(*calls) == [0, 1, 2]
        assert await queue.run(work, 4) == 4

    asyncio.run(ask())
    assert most == 2
    queue.close()


def test_what_a_call_raises_arrives_and_frees_its_place():
    queue = CallQueue(1, max_waiting=0)

    def fail():
        raise ValueError("no")

    async def ask():
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                await queue.run(fail)

    asyncio.run(ask())
    queue.close()


def test_a_caller_that_leaves_does_not_free_the_place_of_its_call():
    queue = CallQueue(1, max_waiting=0)
    gate = threading.Event()
    begun = threading.Event()

    def work():
        begun.set()
        gate.wait()

    async def ask():
        call = asyncio.create_task(queue.run(work))
        await asyncio.to_thread(begun.wait)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        with pytest.raises(Busy):
            await queue.run(work)
        gate.set()
        while True:
            try:
                return await queue.run(work)
            except Busy:
                await asyncio.sleep(0.01)

    asyncio.run(ask())
    queue.close()


def test_at_least_one_call_must_run():
    with pytest.raises(UserError, match="max_concurrency of at least 1"):
        CallQueue(0)
