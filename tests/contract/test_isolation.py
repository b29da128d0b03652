"""Every operation, asked by another merchant about this one's things: the answer of what nobody has, and nothing changed.

Generated over the whole table. A new operation is here by being in the table (tests/contract/examples.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from naru.rest import operations
from naru.rest.operation import Operation
from tests.contract.examples import right_request
from tests.contract.world import MARK, World, make_world, own_channel
from tests.rest.conftest import Answered, House, Shop, make_desk

SIGNED_IN = [each for each in operations() if each.verb is not None]
ABOUT_THINGS = [
    each
    for each in SIGNED_IN
    if right_request(each, {}) != right_request(each, {})  # Identifiers differ each time.
]
# Changes of a kind of thing that this world does not have, with the reason.
NOT_HERE: dict[str, str] = {}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(house: House) -> World:
    desk = await make_desk(house, house.pg_url)
    return await make_world(house, desk)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nobody(world: World) -> Shop:
    """A merchant who asks for what nobody has."""
    return await world.newcomer()


@dataclass
class Asked:
    """What was said to whom about what."""

    answer: Answered
    names: list[str]

    @property
    def verdict(self) -> tuple[int, int, str]:
        """Status, code and message, without the identifiers that were asked about."""
        status, code, message = self.answer.verdict
        return status, code, self._without_names(message or "")

    @property
    def shape(self) -> Any:
        """The answer with every value replaced by its type."""
        return _shape(self.answer.response)

    def _without_names(self, text: str) -> str:
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, "…")
        return text


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_shape(below) for below in value[:1]]
    return type(value).__name__


async def _ask(world: World, operation: Operation, shop: Shop, names: dict[str, str]) -> Asked:
    names = {**own_channel(shop), **names}
    path, fields = right_request(operation, names)
    sent = [*names.values(), *_texts(fields), *re.findall(r"[\w-]*\d{2,}[\w-]*", path)]
    how: dict[str, Any] = {"json": fields} if operation.method in ("POST", "PUT") else {}
    if not how and fields:
        how = {"params": _query(fields)}
    answer = await world.desk.ask(operation.method, path, token=shop.token, **how)
    return Asked(answer, sent)


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [value] if isinstance(value, str) and value else []


def _query(fields: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (f"{key}[]", str(each)) if isinstance(value, list) else (key, str(value))
        for key, value in fields.items()
        for each in (value if isinstance(value, list) else [value])
    ]


@pytest.mark.promise("P10")
@pytest.mark.parametrize("operation", ABOUT_THINGS, ids=lambda each: f"{each.method} {each.path}")
async def test_another_merchants_things_are_nobodys(
    world: World, nobody: Shop, operation: Operation
) -> None:
    stranger, other_stranger = await world.newcomer(), nobody
    owned = world.owner.for_path(operation.path)
    before = await world.picture(world.owner.shop.merchant.id)

    unknown = await _ask(world, operation, other_stranger, {})
    foreign = await _ask(world, operation, stranger, owned)

    assert foreign.verdict == unknown.verdict
    assert foreign.shape == unknown.shape
    assert MARK not in str(foreign.answer.body)
    assert await world.picture(world.owner.shop.merchant.id) == before


@pytest.mark.parametrize(
    "operation",
    [each for each in ABOUT_THINGS if each.method == "GET"],
    ids=lambda each: each.path,
)
async def test_the_owner_sees_them(world: World, operation: Operation) -> None:
    """The control: what nobody else sees is there."""
    answer = (
        await _ask(world, operation, world.owner.shop, world.owner.for_path(operation.path))
    ).answer
    assert answer.body["code"] == 0, answer.body


async def test_a_picture_shows_what_changes(world: World) -> None:
    """The control: the owner's own deed is seen in the picture."""
    owner = world.owner
    before = await world.picture(owner.shop.merchant.id)
    answer = await world.desk.ask(
        "POST",
        "/payments/cancel",
        token=owner.shop.token,
        json={"imp_uid": owner.for_path("/payments/cancel")["imp_uid"], "amount": 1},
    )
    assert answer.body["code"] == 0
    changed = {
        table
        for table, said in (await world.picture(owner.shop.merchant.id)).items()
        if said != before[table]
    }
    assert "payments" in changed
    assert len(changed) > 2


@pytest.mark.parametrize(
    "operation",
    [each for each in ABOUT_THINGS if each.method != "GET"],
    ids=lambda each: f"{each.method} {each.path}",
)
async def test_the_owner_changes_them(world: World, nobody: Shop, operation: Operation) -> None:
    """The control: to its owner a thing is something else than to others."""
    name = f"{operation.method} {operation.path}"
    owner = await _ask(world, operation, world.owner.shop, world.owner.for_path(operation.path))
    unknown = await _ask(world, operation, nobody, {})
    if name in NOT_HERE:
        assert owner.verdict == unknown.verdict
    else:
        assert owner.verdict != unknown.verdict or owner.answer.body["code"] == 0


async def test_lists_of_a_newcomer_are_empty(world: World) -> None:
    shop = await world.newcomer()
    for each in SIGNED_IN:
        if each in ABOUT_THINGS or each.method != "GET":
            continue
        answer = (await _ask(world, each, shop, {})).answer
        assert MARK not in str(answer.body), each.path
        assert world.owner.shop.merchant.name not in str(answer.body), each.path
