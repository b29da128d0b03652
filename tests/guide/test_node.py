"""Chapter 5 by hand: the page's JavaScript runs in Node, its SQL in PostgreSQL, before a true gateway.

node-postgres is not installed here: a pool's `query` is passed on, line by line, to asyncpg.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from naru.testing.async_imp import AsyncImp
from tests.guide.conftest import environment
from tests.guide.pages import files

CHAIR = 64_900
# Reads {"report": [imp_uid, claimed]} or {"rows": […]}, writes {"query": […]} or {"answer": word}.
RUNNER = """
import readline from "node:readline";
import { finalise } from "./finalise.mjs";

const say = (words) => process.stdout.write(JSON.stringify(words) + "\\n");
const waiting = [];
const db = {
  query: (text, values) =>
    new Promise((resolve) => {
      waiting.push(resolve);
      say({ query: [text, ...values] });
    }),
};
readline.createInterface({ input: process.stdin }).on("line", async (line) => {
  const { report, rows } = JSON.parse(line);
  if (report) say({ answer: await finalise(...report, db) });
  else waiting.shift()({ rows });
});
"""


class Node:
    """The page's `finalise`, and the database that it writes."""

    def __init__(self, process: asyncio.subprocess.Process, database: asyncpg.Connection) -> None:
        self._process = process
        self._database = database

    async def place(self, merchant_uid: str) -> None:
        statement = "INSERT INTO orders (merchant_uid, amount) VALUES ($1, $2)"
        await self._database.execute(statement, merchant_uid, CHAIR)

    async def parcels(self) -> list[str]:
        return [row[0] for row in await self._database.fetch("SELECT * FROM parcels ORDER BY 1")]

    async def status(self, merchant_uid: str) -> str:
        asked = "SELECT status FROM orders WHERE merchant_uid = $1"
        return str(await self._database.fetchval(asked, merchant_uid))

    async def report(self, *reports: tuple[object, str | None]) -> list[str]:
        """What each of these reports is answered; several are begun at once."""
        answers: list[str] = []
        for report in reports:
            self._say({"report": report})
        while len(answers) < len(reports):
            assert self._process.stdout is not None
            line = await asyncio.wait_for(self._process.stdout.readline(), 30)
            told = json.loads(line)
            if "answer" in told:
                answers.append(told["answer"])
            else:
                rows = await self._database.fetch(*told["query"])
                self._say({"rows": [dict(row) for row in rows]})
        return answers

    def _say(self, words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")


@pytest_asyncio.fixture
async def node(async_imp: AsyncImp, empty_database_url: str, tmp_path: Path) -> AsyncIterator[Node]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("this machine has no Node.js")
    (tmp_path / "finalise.mjs").write_text(files()["finalise.mjs"], "utf-8")
    (tmp_path / "run.mjs").write_text(RUNNER, "utf-8")
    database = await asyncpg.connect(empty_database_url)
    await database.execute(files()["orders.sql"])
    process = await asyncio.create_subprocess_exec(
        program,
        "run.mjs",
        cwd=tmp_path,
        env=os.environ | environment(async_imp.sync),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Node(process, database)
    process.kill()
    await process.communicate()
    await database.close()


async def test_a_payment_pays_once_and_a_thief_gets_nothing(
    async_imp: AsyncImp, node: Node
) -> None:
    for order in ("order-1", "order-2", "order-3", "order-4", "order-5"):
        await node.place(order)
    await async_imp.pay("order-1", CHAIR)
    assert await node.report((async_imp.sync.payment().imp_uid, None)) == ["checking"]
    paid = (await async_imp.approve()).imp_uid
    # Callback and webhook at once, and once more.
    both = await node.report((paid, "order-1"), (paid, None))
    assert both + await node.report((paid, "order-1")) == ["success"] * 3
    assert await node.parcels() == ["order-1"]

    # The robbery, a changed price, an account that waits, and numbers that are none.
    assert await node.report((paid, "order-2")) == ["forgery"]
    await async_imp.pay("order-2", 1_000)
    cheap = (await async_imp.approve()).imp_uid
    assert await node.report((cheap, "order-2")) == ["forgery"]
    await async_imp.pay("order-3", CHAIR, pay_method="vbank")
    account = (await async_imp.approve()).imp_uid
    assert await node.report((account, "order-3")) == ["vbankIssued"]
    for nonsense in ("imp_404404404404", "../users/pg", None, 1, ["imp_1"], ""):
        assert await node.report((nonsense, "order-2")) == ["forgery"]
    await async_imp.pay("order-5", CHAIR)
    refused = (await async_imp.decline()).imp_uid
    assert await node.report((refused, "order-5")) == ["failed"]
    assert await node.parcels() == ["order-1"]

    # A deposit, money that goes back, and money that went back before anybody heard of it.
    await async_imp.deposit(which=account)
    assert await node.report((account, None)) == ["success"]
    await async_imp.cancel(which=paid)
    assert await node.report((paid, "order-1")) == ["cancelled"]
    assert await node.status("order-1") == "cancelled"
    await async_imp.pay("order-4", CHAIR)
    returned = (await async_imp.approve()).imp_uid
    await async_imp.cancel()
    assert await node.report((returned, "order-4")) == ["cancelled"]
    assert await node.parcels() == ["order-1", "order-3"]


async def test_a_gateway_that_cannot_be_asked_is_no_failure(
    async_imp: AsyncImp, node: Node
) -> None:
    await node.place("order-6")
    await async_imp.pay("order-6", CHAIR)
    paid = (await async_imp.approve()).imp_uid
    with async_imp.sync.weather("error"):
        assert await node.report((paid, "order-6")) == ["checking"]
    assert await node.report((paid, "order-6")) == ["success"]
