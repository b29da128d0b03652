"""The stand-in PG behaves like the sandbox where both can be asked the same."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from naru.domain.money import Money
from naru.domain.outcome import (
    AccountIssued,
    Approved,
    Cancelled,
    CancelOrder,
    Declined,
    NotFound,
    Ticket,
    Undone,
    Unknown,
)
from naru.payments.issue_virtual_account import issue_virtual_account
from tests.support.gateway import House, open_house
from tests.support.stand_in_pg import SECRET, StandInPg, standing_in


@pytest.fixture
async def pg() -> AsyncIterator[StandInPg]:
    async with standing_in() as standing:
        yield standing


@pytest.fixture
async def house(database_url: str, pg: StandInPg) -> AsyncIterator[House]:
    async with open_house(database_url, pg.url, secret=SECRET) as opened:
        yield opened


async def test_it_takes_gives_back_undoes_and_tells(house: House, pg: StandInPg) -> None:
    speak, channel = house.gateway.connector_of(house.channel), house.channel
    ticket = Ticket("n0000001", Money(1000), "token")
    assert isinstance(await speak.inquire(channel, "n0000001"), NotFound)
    approved = await speak.approve(channel, ticket)
    assert isinstance(approved, Approved)
    assert await speak.approve(channel, ticket) == approved
    assert await speak.inquire(channel, "n0000001") == approved
    order = CancelOrder(
        approved.pg_tid, "c0000001", Money(300), Money(1000), Money(0), None, reason="?"
    )
    assert await speak.inquire_cancel(channel, order) is None
    given = await speak.cancel(channel, order)
    assert isinstance(given, Cancelled)
    assert await speak.inquire_cancel(channel, order) == given
    assert await speak.cancel(channel, order) == given  # repeated, not done twice
    assert pg.taken() == 700
    assert isinstance(await speak.net_cancel(channel, "n0000002", "?"), Undone)
    refused = await speak.approve(channel, Ticket("n0000002", Money(5), "token"))
    assert isinstance(refused, Declined)
    assert isinstance(await speak.inquire(channel, "n0000002"), Undone)
    assert pg.count("approvals") == 3


async def test_it_answers_on_command_once_and_behaves_again(house: House, pg: StandInPg) -> None:
    speak, channel = house.gateway.connector_of(house.channel), house.channel
    pg.hang_up("approvals", done=True)
    assert isinstance(await speak.approve(channel, Ticket("n1", Money(5), "t")), Unknown)
    assert pg.taken() == 5
    pg.answer("approvals", b"?", 500)
    assert isinstance(await speak.approve(channel, Ticket("n2", Money(5), "t")), Unknown)
    assert pg.taken() == 5
    pg.change("approvals", amount=6)
    lied = await speak.approve(channel, Ticket("n3", Money(5), "t"))
    assert isinstance(lied, Approved)
    assert (lied.amount, pg.taken()) == (Money(6), 10)
    true = await speak.approve(channel, Ticket("n3", Money(5), "t"))
    assert isinstance(true, Approved)
    assert true.amount == Money(5)


async def test_it_issues_accounts_and_refuses_strangers(house: House, pg: StandInPg) -> None:
    waiting = await issue_virtual_account(
        house.gateway,
        house.opening(1004, pay_method="vbank"),
        bank_code="004",
        holder=None,
        due=house.clock().replace(microsecond=0).replace(year=house.clock().year + 1),
    )
    speak = house.gateway.connector_of(house.channel)
    found = await speak.inquire(house.channel, waiting.pg_order_no)
    assert isinstance(found, AccountIssued)
    assert found.account == waiting.virtual_account
    async with house.gateway.store.begin() as tx:
        await tx.channels.change_settings(
            house.channel.id, {**house.channel.settings, "secret": "x" * 32}
        )
        [stranger] = await tx.channels.of_merchant(house.merchant.id)
    asked = len(pg.asked)
    assert isinstance(await speak.approve(stranger, Ticket("n9", Money(5), "t")), Unknown)
    assert len(pg.asked) == asked
