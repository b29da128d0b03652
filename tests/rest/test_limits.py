"""Wrong API secrets are counted, per key and per address; right ones never wait."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

import pytest

from naru.cli.serve import whom_to_believe
from naru.config import Settings
from naru.rest.authenticate import FAILURES_OF_ADDRESS, FAILURES_OF_KEY
from tests.rest.conftest import NUMBERS, Answered, Desk, House, Shop, serving

WRONG_SECRET = "not the secret"


async def sign_in(
    desk: Desk, imp_key: str, imp_secret: str, address: str | None = None
) -> Answered:
    headers = {} if address is None else {"X-Forwarded-For": address}
    return await desk.ask(
        "POST",
        "/users/getToken",
        token=None,
        headers=headers,
        json={"imp_key": imp_key, "imp_secret": imp_secret},
    )


async def wrong(desk: Desk, shop: Shop, address: str | None = None) -> Answered:
    return await sign_in(desk, shop.imp_key, WRONG_SECRET, address)


def statuses(answers: list[Answered]) -> dict[int, int]:
    found = [answer.status for answer in answers]
    return {status: found.count(status) for status in sorted(set(found))}


@contextmanager
def spoken_to_at(desk: Desk, address: str) -> Iterator[None]:
    before, desk.address = desk.address, address
    yield
    desk.address = before


async def test_of_sixty_four_wrong_secrets_at_once_twenty_are_looked_at(desk: Desk) -> None:
    answers = await asyncio.gather(*(wrong(desk, desk.shop) for _ in range(64)))

    most = FAILURES_OF_KEY.most
    assert statuses(list(answers)) == {401: most, 429: 64 - most}
    refused = [answer for answer in answers if answer.status == 429]
    assert {answer.body["code"] for answer in refused} == {-1}
    assert {answer.headers["Retry-After"] for answer in refused} == {"60"}
    # Control: as many for keys that nobody has are all told the same as ever.
    unknown = await asyncio.gather(
        *(sign_in(desk, f"nobody-{next(NUMBERS)}", WRONG_SECRET) for _ in range(64))
    )
    assert statuses(list(unknown)) == {401: 64}


async def test_who_fails_in_a_merchants_name_does_not_lock_the_merchant_out(desk: Desk) -> None:
    """A hundred sign-ins of the merchant among a flood of wrong ones: all of them right."""
    shop = desk.shop

    answers = await asyncio.gather(
        *(wrong(desk, shop) for _ in range(64)),
        *(sign_in(desk, shop.imp_key, shop.imp_secret) for _ in range(100)),
    )

    assert statuses(list(answers[64:])) == {200: 100}
    assert (await wrong(desk, desk.stranger)).status == 401


async def test_after_the_window_it_is_as_before(desk: Desk) -> None:
    for _ in range(FAILURES_OF_KEY.most):
        assert (await wrong(desk, desk.shop)).status == 401
    desk.clock.advance(FAILURES_OF_KEY.seconds - 1)
    refused = await wrong(desk, desk.shop)
    desk.clock.advance(1)

    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert (await wrong(desk, desk.shop)).status == 401


async def test_an_address_is_believed_from_a_named_proxy_only(desk: Desk, house: House) -> None:
    """With our proxy in front each client is counted for itself; forged headers change nothing."""
    most, unknown = FAILURES_OF_ADDRESS.most, f"nobody-{next(NUMBERS)}"
    client = f"8.{next(NUMBERS) % 250}.{next(NUMBERS) % 250}.{next(NUMBERS) % 250}"

    async def fail(address: str) -> Answered:
        return await sign_in(desk, unknown, WRONG_SECRET, address)

    def served(*proxies: str) -> AbstractAsyncContextManager[str]:
        networks = tuple(ipaddress.ip_network(each) for each in proxies)
        return serving(lambda _: house.door, **whom_to_believe(Settings(trusted_proxies=networks)))

    async with served("127.0.0.1/32") as proxied:
        with spoken_to_at(desk, proxied):
            # The last address that no proxy of ours wrote counts; what stands before it is a wish.
            answers = await asyncio.gather(*(fail(f"1.1.1.{n}, {client}") for n in range(64)))
            other = await fail("9.9.9.9")
            inner = [await fail("10.0.0.7") for _ in range(most // 10)]
    async with served("10.0.0.0/8") as strange, served() as bare:
        forged = []
        for address in (strange, bare):
            with spoken_to_at(desk, address):
                forged += await asyncio.gather(*(fail(client) for _ in range(8)))

    assert statuses(list(answers)) == {401: most, 429: 64 - most}
    assert statuses([other, *inner, *forged]) == {401: 1 + most // 10 + 16}


@pytest.mark.fault("J1_WD")
async def test_a_wrong_pair_is_told_to_the_log_and_nothing_of_it_to_the_caller(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    shop, stranger = desk.shop, desk.stranger
    async with desk.gateway.store.direct() as session:
        before = await session.merchants.key(shop.imp_key)
    with caplog.at_level(logging.WARNING, "naru.rest"):
        refused = [
            await sign_in(desk, shop.imp_key, WRONG_SECRET),
            await sign_in(desk, shop.imp_key, stranger.imp_secret),
            await sign_in(desk, shop.imp_secret, shop.imp_key),
            await sign_in(desk, f"{shop.imp_key}\r\nforged line", shop.imp_secret),
        ]
    async with desk.gateway.store.direct() as session:
        after = await session.merchants.key(shop.imp_key)

    assert {(answer.status, answer.raw) for answer in refused} == {(401, refused[0].raw)}
    assert before == after
    told = [record.getMessage() for record in caplog.records if record.name == "naru.rest"]
    assert (
        told
        == [f"wrong API secret for {shop.imp_key} from 127.0.0.1"] * 2
        + ["wrong API secret for no key from 127.0.0.1"] * 2
    )
