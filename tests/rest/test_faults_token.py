"""A token is asked for while we die, sleep, or are overtaken: row J1 under CB, CA, SL and RO.

Who dies is `naru serve` in a process of its own, killed before and after the database made the token.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from naru.domain.ids import hash_secret
from tests.rest.conftest import Desk
from tests.rest.test_authenticate import get_token, pair
from tests.support.gateway import open_house
from tests.support.processes import SECRET, Process, naru

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock' AND query LIKE '%UPDATE api_keys%'"
)


@asynccontextmanager
async def held(dsn: str, imp_key: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Nobody writes this key's row inside the block: who gives it a token waits."""
    holder = await asyncpg.connect(dsn)
    try:
        async with holder.transaction():
            await holder.fetch("SELECT 1 FROM api_keys WHERE imp_key = $1 FOR UPDATE", imp_key)
            yield holder
    finally:
        await holder.close()


async def waits(holder: asyncpg.Connection[asyncpg.Record], for_: int = 1) -> None:
    """Until so many statements wait for the row."""
    async with asyncio.timeout(20):
        while await holder.fetchval(WAITING) < for_:
            await asyncio.sleep(0.01)
            # Inside a transaction PostgreSQL would show the same moment for ever.
            await holder.execute("SELECT pg_stat_clear_snapshot()")


async def question(process: Process, imp_key: str) -> asyncio.StreamWriter:
    """Ask for this key's token over a line of its own; nobody reads the answer."""
    parts = urlsplit(process.url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    raw = json.dumps({"imp_key": imp_key, "imp_secret": "s" * 40}).encode()
    writer.write(
        f"POST /users/getToken HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
        + raw
    )
    await writer.drain()
    return writer


async def token(process: Process, imp_key: str) -> str:
    pair = {"imp_key": imp_key, "imp_secret": "s" * 40}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{process.url}/users/getToken", json=pair) as answer,
    ):
        assert answer.status == 200, await answer.text()
        said: str = (await answer.json())["response"]["access_token"]
        return said


async def knows(process: Process, said: str) -> bool:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{process.url}/payments/imp_000000000000", headers={"Authorization": said}) as no,
    ):
        return no.status == 404  # a stranger hears 401


@pytest.mark.fault("J1_CB", "J1_CA")
@pytest.mark.promise("P22")
async def test_a_process_that_died_with_a_token_in_its_hands_made_it_once_or_not_at_all(
    database_url: str, tmp_path: Path
) -> None:
    root_key = SECRET.encode()
    async with (
        open_house(database_url, "http://127.0.0.1:9", root_key=root_key) as house,
        house.gateway.store.begin() as tx,
    ):
        for key in ("before", "after"):
            await tx.merchants.add_key(house.merchant.id, key, hash_secret("s" * 40))
    watcher = await asyncpg.connect(database_url)

    async def stored(key: str) -> bytes | None:
        found: bytes | None = await watcher.fetchval(
            "SELECT token_hash FROM api_keys WHERE imp_key = $1", key
        )
        return found

    try:
        async with naru("serve", database_url, tmp_path) as process:
            await process.serves()
            async with held(database_url, "after") as holder:
                lines = [await question(process, "after")]
                await waits(holder)
                process.send(signal.SIGSTOP)
                lines.append(await question(process, "before"))
                process.send(signal.SIGKILL)
                await process.ends()
                assert await stored("before") is None
                assert await stored("after") is None
            # Its statement was at the server; nobody is left to hear what it did.
            async with asyncio.timeout(20):
                while (made := await stored("after")) is None:
                    await asyncio.sleep(0.01)
            for line in lines:
                line.transport.abort()
        async with naru("serve", database_url, tmp_path) as process:
            await process.serves()
            assert await stored("before") is None, "nothing happened"
            for key in ("before", "after"):
                said = await token(process, key)
                assert await token(process, key) == said
                assert await knows(process, said)
                assert await stored(key) == hash_secret(said)
            assert await stored("after") == made, "it was made once"
            assert not await knows(process, "0" * 40)
    finally:
        await watcher.close()


@pytest.mark.fault("J1_SL")
@pytest.mark.promise("P22")
async def test_who_slept_while_it_made_a_token_says_the_one_that_all_others_say(
    desk: Desk, rest_database: str
) -> None:
    desk.clock.advance(1801)
    async with held(rest_database, desk.shop.imp_key) as holder:
        asking = [asyncio.ensure_future(get_token(desk, json=pair(desk.shop))) for _ in range(4)]
        await waits(holder, 4)
        desk.clock.advance(400)
    answers = await asyncio.gather(*asking)
    answers.append(await get_token(desk, json=pair(desk.shop)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.response["access_token"] for answer in answers}) == 1
    # It lives from when it was asked for, so the sleep is not added to its half hour.
    assert {answer.response["expired_at"] for answer in answers} == {
        int(desk.clock().timestamp()) - 400 + 1800
    }


@pytest.mark.fault("J1_RO")
@pytest.mark.promise("P22")
async def test_a_question_that_arrives_hours_late_brings_no_old_token_back(desk: Desk) -> None:
    old = desk.shop.token
    parts = urlsplit(desk.address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    raw = json.dumps(pair(desk.shop)).encode()
    writer.write(
        f"POST /users/getToken HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
        + raw[:-1]
    )
    await writer.drain()
    desk.clock.advance(7_200)
    new = (await get_token(desk, json=pair(desk.shop))).response["access_token"]
    writer.write(raw[-1:])
    late = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])
    writer.close()
    assert late["response"]["access_token"] == new != old
    assert (await desk.ask("GET", "/payments/imp_000000000000", token=old)).status == 401
    assert (await desk.ask("GET", "/payments/imp_000000000000", token=new)).status == 404
