"""The whole surface, fuzzed from both documents: a short run here, 50,000 requests in a nightly one."""

from __future__ import annotations

import json
import os
from collections import defaultdict

import pytest
import pytest_asyncio

from naru.rest import messages, operations
from naru.rest.codes import OneBank, list_banks
from naru.rest.door import Door
from naru.rest.envelope import Answer, success
from naru.rest.operation import Call, Operation
from tests.contract.examples import CHANNEL
from tests.contract.fits import our_document
from tests.contract.fuzz import Maker, Target, judged, run, targets_of_ours, targets_of_theirs
from tests.contract.world import MARK, Owned, World, give_things, make_world, own_channel
from tests.rest.conftest import House, make_desk, serving
from tests.support.scale import often

REQUESTS = int(os.environ.get("NARU_FUZZ_REQUESTS", often(2_500, 50_000)))
SEED = int(os.environ.get("NARU_FUZZ_SEED", "4"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(house: House) -> World:
    desk = await make_desk(house, house.pg_url)
    return await make_world(house, desk)


def _names(*owned: Owned) -> dict[str, list[str]]:
    """Every identifier that somebody has."""
    names: dict[str, list[str]] = defaultdict(list)
    for each in owned:
        names[CHANNEL] += [each.shop.channel.channel_key, own_channel(each.shop)["channel_key"]]
        for some in (each.names, *each.special.values()):
            for name, value in some.items():
                names[name].append(value)
    return names


def _targets() -> list[Target]:
    """The operations of both documents; of i'mport's those that we serve."""
    served = {f"{each.method} {each.path}" for each in operations()}
    return [
        *targets_of_ours(our_document()),
        *(each for each in targets_of_theirs() if each.name in served),
    ]


async def test_nothing_that_the_documents_allow_and_nothing_rude_breaks_the_door(
    world: World, house: House
) -> None:
    rude = Owned(await world.newcomer())
    await give_things(world, rude)
    # Its own things carry the mark as well: what is looked for is the owner's.
    secret = f"{MARK}-of-the-owner"
    await world.desk.ask(
        "POST",
        "/payments/cancel",
        token=world.owner.shop.token,
        json={
            "imp_uid": world.owner.for_path("/payments/cancel")["imp_uid"],
            "amount": 1,
            "reason": secret,
        },
    )
    before = await world.picture(world.owner.shop.merchant.id)
    targets = _targets()
    maker = Maker(SEED, targets, rude.shop.token, _names(world.owner, rude), rude.for_path)

    findings = await run(house.address, maker, range(REQUESTS), secret=secret)

    print(f"\nfuzz, seed {SEED}: {findings.told(len({each.name for each in targets}))}")
    assert findings.wrong == [], "\n".join(findings.wrong[:20])
    assert findings.sent == REQUESTS
    assert await world.picture(world.owner.shop.merchant.id) == before
    # A fuzz whose requests are all refused at the door would find nothing.
    assert len(findings.done) > len(served_names()) // 3


def served_names() -> set[str]:
    """Verb and path of what we serve."""
    return {f"{each.method} {each.path}" for each in operations()}


def test_a_request_is_made_from_its_number_alone() -> None:
    targets = _targets()
    one, other = (Maker(7, targets, "t" * 40, {}) for _ in range(2))
    for number in (0, 17, 400):
        assert one.make(number) == other.make(number)
    assert one.make(3) != Maker(8, targets, "t" * 40, {}).make(3)


def test_what_is_wrong_is_seen() -> None:
    """The control of the judge."""
    request = Maker(1, [Target("GET", "/banks/004", (), "ours")], "t" * 40, {}).make(0)
    bank = b'{"code":0,"message":null,"response":{"code":"004","name":"%s"}}'
    assert request.method == "GET"
    assert judged(request, 200, bank % "국민은행".encode(), "secret") is None
    assert judged(request, 200, bank % b"secret", "secret") == "another merchant's data"
    assert judged(request, 200, bank.replace(b'"004"', b"4") % b"x", "secret")
    assert judged(request, 200, b"<html>", "secret")
    refusal = b'{"code":-1,"message":"x","response":null}'
    assert judged(request, 501, refusal, "secret") is None
    assert judged(request, 500, refusal, "secret") == "HTTP 500: x"
    ship = Target("POST", "/payments/imp_1/naver/place", (), "ours")
    request = Maker(1, [ship], "t" * 40, {}).make(0)
    assert judged(request, 500, refusal, "secret") is None
    last_net = json.dumps({**json.loads(refusal), "message": messages.internal("a1b2")}).encode()
    assert "HTTP 500" in (judged(request, 500, last_net, "secret") or "")


async def _careless(call: Call, request: OneBank) -> Answer:
    """A verb with a common mistake."""
    return success({"code": str(int(request.bank_standard_code)), "name": "은행"})


@pytest.mark.parametrize("careless", [False, True])
async def test_a_careless_verb_is_found(house: House, world: World, careless: bool) -> None:
    """The control of the whole: the same run, with and without a defect behind the door."""
    path = "/banks/{bank_standard_code}"
    rows = [each for each in operations() if each.path in (path, "/banks")]
    if careless:
        rows = [each for each in rows if each.verb is list_banks]
        rows.append(
            Operation("GET", path, OneBank, "은행", "codes", _careless, answer=None, english="x")
        )
    targets = [each for each in targets_of_ours(our_document()) if each.path == path]
    maker = Maker(SEED, targets, world.owner.shop.token, {})
    door = Door(house.door.gateway, rows)
    async with serving(lambda address: door) as address:
        findings = await run(address, maker, range(120), secret="no such text")
    assert any("HTTP 500" in each for each in findings.wrong) is careless
    assert bool(findings.wrong) is careless
