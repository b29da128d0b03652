"""Operators are told of new tasks, for naru/jobs/tell.py."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from naru.domain.task import SAID, TaskKind
from naru.jobs.tell import tell_operators
from naru.payments.gateway import Gateway
from tests.jobs.conftest import Working
from tests.support.gateway import Clock
from tests.support.receiver import Receiver


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def open_task(gateway: Gateway, subject: str = "n1") -> None:
    async with gateway.store.begin() as tx:
        await tx.tasks.open(TaskKind.CANCEL_UNKNOWN, subject, "no answer", gateway.now())


@pytest.mark.promise("L1")
async def test_a_new_task_is_posted_until_it_is_heard_and_then_no_more(
    gateway: Gateway, receiver: Receiver, clock: Clock
) -> None:
    told = replace(gateway, alert_url=f"{receiver.url}/hook?key=secret", now=clock)
    await open_task(told)
    receiver.answers = [500, 302]
    assert await tell_operators(told) == 0
    assert await tell_operators(told) == 0, "not again before its time"
    assert len(receiver.told) == 1
    for wait, heard in ((11, 0), (61, 1), (3600, 0)):
        clock.advance(seconds=wait)
        assert await tell_operators(told) == heard
    assert len(receiver.told) == 3
    bodies = [json.loads(each.body) for each in receiver.told]
    assert bodies[0] == bodies[1] == bodies[2]
    said = SAID[TaskKind.CANCEL_UNKNOWN]
    assert bodies[0]["kind"] == "cancel_unknown"
    assert bodies[0]["advice"] == said.advice
    assert said.happened_ko in bodies[0]["text"]
    async with gateway.store.direct() as session:
        [task] = await session.tasks.list_open()
    assert task.alerted_at is not None, "told, and still open until somebody has looked"


async def test_nobody_is_told_of_what_ended_by_itself(gateway: Gateway, receiver: Receiver) -> None:
    told = replace(gateway, alert_url=receiver.url)
    await open_task(told)
    async with gateway.store.begin() as tx:
        await tx.tasks.end_by_itself([TaskKind.CANCEL_UNKNOWN], "n1", "done", gateway.now())
    assert await tell_operators(told) == 0
    assert receiver.told == []


async def test_without_an_address_the_log_says_it_and_the_secret_of_one_stays_out_of_it(
    gateway: Gateway, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    await open_task(gateway)
    with caplog.at_level(logging.INFO):
        assert await tell_operators(gateway) == 1
        [line] = [each for each in caplog.records if each.levelno >= logging.ERROR]
        assert "cancel_unknown" in line.getMessage()
        receiver.then = 500
        told = replace(gateway, alert_url=f"{receiver.url}/hook?key=canary-7731")
        await open_task(told, "n2")
        await tell_operators(told)
    assert "canary-7731" not in caplog.text
    assert "canary-7731" not in repr(told)


async def test_a_teller_that_died_delays_a_task_and_loses_none(
    gateway: Gateway, receiver: Receiver, clock: Clock
) -> None:
    told = replace(gateway, alert_url=receiver.url, now=clock)
    await open_task(told)
    async with gateway.store.direct() as session:
        # What the dead one did: it took the task, and was gone.
        now = clock()
        assert len(await session.tasks.take_to_tell(now, now + timedelta(minutes=4), 10)) == 1
    assert await tell_operators(told) == 0
    clock.advance(minutes=5)
    assert await tell_operators(told) == 1


async def test_the_worker_tells(gateway: Gateway, receiver: Receiver, working: Working) -> None:
    gateway.alert_url = receiver.url
    async with working():
        await open_task(gateway)
        await receiver.wait_for(1)
