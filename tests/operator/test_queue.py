"""The queue: each detector once, never twice at a time, again when asked for meanwhile, slower after failures."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from anomaly_operator.controller.workqueue import Queue

KEY = ("plant", "pumps")


class TriedError(Exception):
    """What a handler of these tests raises."""


async def working(queue: Queue, handle: Callable[[tuple[str, str]], Awaitable[None]], until: Callable[[], bool]) -> None:
    workers = [asyncio.ensure_future(queue.work(handle, (TriedError,))) for _ in range(3)]
    async with asyncio.timeout(10):
        while not until():
            await asyncio.sleep(0.005)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)


def test_asking_many_times_is_asking_once() -> None:
    async def story() -> list[tuple[str, str]]:
        queue, handled = Queue(), []

        async def handle(key: tuple[str, str]) -> None:
            handled.append(key)

        for _ in range(100):
            queue.add(KEY)
        queue.add(("plant", "others"))
        await working(queue, handle, lambda: len(handled) >= 2)
        return handled

    assert asyncio.run(story()) == [KEY, ("plant", "others")]


def test_a_detector_that_is_asked_for_while_it_is_handled_comes_again_and_never_beside_itself() -> None:
    async def story() -> tuple[int, int]:
        queue, running, most, rounds = Queue(), 0, 0, 0

        async def handle(key: tuple[str, str]) -> None:
            nonlocal running, most, rounds
            running += 1
            most, rounds = max(most, running), rounds + 1
            if rounds < 5:
                queue.add(key)
            await asyncio.sleep(0.001)
            running -= 1

        queue.add(KEY)
        await working(queue, handle, lambda: rounds == 5 and running == 0)
        return most, rounds

    assert asyncio.run(story()) == (1, 5)


def test_failures_come_again_and_stop_nobody_else() -> None:
    async def story() -> list[str]:
        queue, handled = Queue(), []

        async def handle(key: tuple[str, str]) -> None:
            handled.append(key[1])
            if handled.count(key[1]) <= 2 and key == KEY:
                raise (TriedError if handled.count(key[1]) == 1 else ZeroDivisionError)

        queue.add(KEY)
        queue.add(("plant", "others"))
        await working(queue, handle, lambda: handled.count("pumps") == 3)
        return handled

    assert asyncio.run(story()) == ["pumps", "others", "pumps", "pumps"]


def test_pauses_grow_with_failures_and_end_with_a_success() -> None:
    async def story() -> list[float]:
        queue, moments = Queue(), []

        async def handle(_: tuple[str, str]) -> None:
            moments.append(asyncio.get_running_loop().time())
            if len(moments) < 4:
                raise TriedError

        queue.add(KEY)
        await working(queue, handle, lambda: len(moments) == 4)
        return [add_after - sooner for sooner, add_after in itertools.pairwise(moments)]

    first, second, third = asyncio.run(story())
    assert first < second < third


def later(calls: list[tuple[str, float]]) -> list[str]:
    """What is called, in order, when these names are asked for after so many seconds."""

    async def story() -> list[str]:
        queue, called = Queue(), list[str]()
        functions = {name: (lambda _, name=name: called.append(name)) for name, _ in calls}
        for name, seconds in calls:
            queue.add_after(KEY, seconds, functions[name])
        async with asyncio.timeout(5):
            while len(called) < len(functions):
                await asyncio.sleep(0.005)
        return called

    return asyncio.run(story())


def test_of_several_deadlines_of_one_call_the_earliest_stays() -> None:
    """Events that come more often than the pause do not put polling off."""

    async def story() -> float:
        queue, called, loop = Queue(), list[float](), asyncio.get_running_loop()

        def poll(_: tuple[str, str]) -> None:
            called.append(loop.time())

        started = loop.time()
        async with asyncio.timeout(5):
            while not called:
                queue.add_after(KEY, 0.05, poll)
                await asyncio.sleep(0.01)
        return called[0] - started

    assert asyncio.run(story()) < 1


def test_a_later_deadline_gives_way_to_an_earlier_one() -> None:
    assert later([("poll", 60), ("poll", 0.01)]) == ["poll"]


def test_a_retry_does_not_put_polling_off() -> None:
    assert later([("poll", 0.01), ("retry", 0.03)]) == ["poll", "retry"]


def test_a_detector_that_is_gone_leaves_nothing_behind() -> None:
    async def story() -> Queue:
        queue = Queue()
        queue.add_after(KEY, 60)
        queue.cancel(KEY)
        return queue

    assert asyncio.run(story())._timers == {}
