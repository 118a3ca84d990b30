from __future__ import annotations

import asyncio

import pytest

from serving.errors import TooSlow
from serving.sending import SendingTime


async def stay(sending: SendingTime, seconds: float) -> str:
    with sending:
        await asyncio.sleep(seconds)
    return "done"


async def all_of(sending: SendingTime, *seconds: float) -> list[str | BaseException]:
    sending.watch(asyncio.get_running_loop())
    return await asyncio.gather(*(stay(sending, each) for each in seconds), return_exceptions=True)


def test_who_takes_too_long_is_sent_away_and_nobody_else() -> None:
    quick, slow, other = asyncio.run(all_of(SendingTime(0.2), 0.0, 60.0, 0.01))
    assert (quick, other) == ("done", "done")
    assert isinstance(slow, TooSlow)
    assert slow.reason == "the body was not here after 0.2 seconds"


def test_a_task_that_was_sent_away_can_go_on() -> None:
    async def answer_late() -> str:
        sending = SendingTime(0.05)
        sending.watch(asyncio.get_running_loop())
        with pytest.raises(TooSlow):
            await stay(sending, 60)
        await asyncio.sleep(0)
        return await stay(sending, 0)

    assert asyncio.run(answer_late()) == "done"


def test_a_cancellation_by_somebody_else_stays_one() -> None:
    async def cancelled() -> None:
        sending = SendingTime(60)
        sending.watch(asyncio.get_running_loop())
        task = asyncio.create_task(stay(sending, 60))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
