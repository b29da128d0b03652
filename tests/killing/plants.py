"""Planted defects: a copy of the house with one thing wrong, which the audit must find.

Each is text that stands in the source once and what stands there instead; a plant whose place has
moved fails loudly, so that a control cannot rot unnoticed.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.killing.house import ROOT


@dataclass(frozen=True, slots=True)
class Plant:
    """One defect: its name, the promise it breaks, the rules of the audit that must find it."""

    name: str
    promise: str
    file: str
    healthy: str
    ill: str
    found_by: frozenset[str]


PLANTS = (
    Plant(
        "the PG is asked before the intent is committed",
        "P13",
        "naru/payments/approve.py",
        "    try:\n        claimed = await claim(",
        "    await connector.approve(\n"
        "        channel, Ticket(payment.pg_order_no, payment.amount, back.token)\n"
        "    )\n"
        "    try:\n        claimed = await claim(",
        frozenset({"not in the journal first", "orphan charges", "P3"}),
    ),
    Plant(
        "webhooks live in memory only",
        "P4",
        "naru/webhooks/announce.py",
        "    laid = 0\n",
        "    laid = 0\n"
        "    import asyncio, aiohttp\n\n"
        "    async def send(url: str) -> None:\n"
        "        headers = {'naru-sequence': str(payment.version), 'webhook-id': 'memory',"
        " 'Content-Type': payload.content_type}\n"
        "        for _ in range(60):\n"
        "            await asyncio.sleep(1)\n"
        "            async with aiohttp.ClientSession() as http:\n"
        "                async with http.post(url, data=payload.body, headers=headers) as answer:\n"
        "                    if answer.status == 200:\n"
        "                        return\n\n"
        "    for url in addresses(merchant, payment):\n"
        "        task = asyncio.create_task(send(url))\n"
        "        globals().setdefault('_KEPT', set()).add(task)\n"
        "    return 0\n",
        frozenset({"webhook missing"}),
    ),
    Plant(
        "a crash between two commits is never looked at again",
        "L1",
        "naru/payments/reconcile.py",
        "        return await session.intents.due(gateway.now(), most)",
        "        await session.intents.due(gateway.now(), most)\n        return []",
        frozenset({"L1"}),
    ),
    Plant(
        "silence of the PG is a refusal",
        "P12",
        "naru/connectors/sandbox/line.py",
        "            return Unknown(str(error))\n        return signed_json(channel, answer)",
        '            return {"result": "declined", "order_no": (body or {}).get("order_no", ""),'
        ' "code": "SILENT", "message": str(error)}\n'
        "        return signed_json(channel, answer)",
        frozenset({"orphan charges", "P3"}),
    ),
)


# What no kill shows: it needs a disk whose tables have no room (plugs.py).
NO_ROOM_IS_OUR_MISTAKE = Plant(
    "a full disk is a mistake of ours",
    "P12",
    "naru/store/connection.py",
    "    asyncpg.InsufficientResourcesError,\n    asyncpg.PostgresSystemError,\n",
    "",
    frozenset({"wrong at once"}),
)


def ill(defect: Plant) -> str:
    """The whole text of its file, with the defect in it."""
    text = (ROOT / defect.file).read_text("utf-8")
    assert text.count(defect.healthy) == 1, f"{defect.name}: its place in {defect.file} has moved"
    return text.replace(defect.healthy, defect.ill)


def plant(defect: Plant, folder: Path) -> Path:
    """Copy the house into `folder` and plant the defect there; the tree to run."""
    tree = folder / "tree"
    shutil.copytree(
        ROOT / "naru", tree / "naru", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
    )
    (tree / defect.file).write_text(ill(defect), "utf-8")
    return tree
