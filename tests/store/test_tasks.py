"""Tasks for people, for naru/store/tasks.py: nothing is lost, nothing is said twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from naru.domain.task import SAID, TaskKind
from naru.store import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def opened(store: Store, subject: str = "imp_1") -> bool:
    async with store.begin() as tx:
        return await tx.tasks.open(TaskKind.APPROVAL_UNKNOWN, subject, "no answer", NOW)


def test_every_kind_is_told_in_both_languages() -> None:
    assert set(SAID) == set(TaskKind)
    for said in SAID.values():
        for sentence in (said.happened, said.advice, said.happened_ko, said.advice_ko):
            assert sentence.endswith(".")


async def test_the_same_thing_is_laid_before_people_once_until_they_close_it(store: Store) -> None:
    assert sorted(await asyncio.gather(*(opened(store) for _ in range(8)))) == [False] * 7 + [True]
    async with store.direct() as session:
        [task] = await session.tasks.list_open()
        assert await session.tasks.close(task.id, "Kim", "looked", NOW)
        assert not await session.tasks.close(task.id, "Lee", "looked too", NOW)
        assert await session.tasks.list_open() == []
    assert await opened(store)


async def test_nobody_closes_a_task_without_a_name_and_a_note(store: Store) -> None:
    await opened(store)
    async with store.direct() as session:
        [task] = await session.tasks.list_open()
        for who, note in (("", "looked"), ("Kim", " ")):
            with pytest.raises(ValueError, match="a name and a note"):
                await session.tasks.close(task.id, who, note, NOW)
        assert await session.tasks.count_open() == 1


@pytest.mark.parametrize(
    "attack",
    [
        "DELETE FROM operator_tasks",
        "TRUNCATE operator_tasks CASCADE",
        "UPDATE operator_tasks SET sentence = 'all is well'",
        "UPDATE operator_tasks SET closed_at = now()",
        "UPDATE operator_tasks SET closed_at = now(), closed_by = ' ', note = 'x'",
    ],
)
async def test_a_hand_written_statement_cannot_make_a_task_go_away(
    store: Store, attack: str
) -> None:
    await opened(store)
    async with store.direct() as session:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await session._connection.raw.execute(attack)
        assert await session.tasks.count_open() == 1


async def test_a_task_is_told_by_one_and_again_after_the_teller_died(store: Store) -> None:
    await opened(store)
    minute = timedelta(minutes=1)
    async with store.direct() as session:
        [(task, tries)] = await session.tasks.take_to_tell(NOW, NOW + minute, 10)
        assert tries == 1
        assert await session.tasks.take_to_tell(NOW, NOW + minute, 10) == []
        [(same, tries)] = await session.tasks.take_to_tell(NOW + minute, NOW + 2 * minute, 10)
        assert (same.id, tries) == (task.id, 2)
        await session.tasks.told(task.id, NOW + minute)
        assert await session.tasks.take_to_tell(NOW + 9 * minute, NOW + 10 * minute, 10) == []
