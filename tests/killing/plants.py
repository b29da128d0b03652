"""Planted defects: a copy of the house with one thing wrong, which the audit must find.

Each is text that stands in the source once and what stands there instead; a plant whose place has
moved fails loudly, so that a control cannot rot unnoticed.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.killing.house import ROOT
from tests.killing.storm import Report, ride

# Points between the two commits of an approval.
OF_AN_APPROVAL = (
    "claim.before_commit",
    "claim.after_commit",
    "settle.before_commit",
    "settle.after_commit",
)


@dataclass(frozen=True, slots=True)
class Plant:
    """One defect: its name, the promise it breaks, the rules of the audit that must find it.

    Its storm lasts until there were `kills` of them, among which are deaths at each of `points`;
    half of the load leads to these and to `leads`.
    """

    name: str
    promise: str
    file: str
    healthy: str
    ill: str
    found_by: frozenset[str]
    kills: int = 0
    points: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()


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
        points=("settle.after_commit",) * 4,
    ),
    Plant(
        "a crash between two commits is never looked at again",
        "L1",
        "naru/payments/reconcile.py",
        "        return await session.intents.due(gateway.now(), most)",
        "        await session.intents.due(gateway.now(), most)\n        return []",
        frozenset({"L1"}),
        kills=25,
        points=OF_AN_APPROVAL * 6,
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
        leads=("reconcile",),
    ),
    Plant(
        "a key that was replaced stays at the PG",
        "L1",
        "naru/payments/reconcile_key.py",
        "    told = await gateway.connector_of(channel).forget_key(channel, key.number)\n",
        "    told: Undone | Unknown = Undone()\n",
        frozenset({"keys differ"}),
        leads=("key",),
    ),
    Plant(
        "a schedule stays planned though it was charged",
        "P15",
        "naru/payments/run_schedule.py",
        "        await tx.schedules.execute(held, opened.imp_uid, now)\n"
        "        await tx.idempotency.bind(once, opened.imp_uid)\n",
        "        await tx.idempotency.bind(once, opened.imp_uid)\n",
        frozenset({"schedules differ"}),
        leads=("schedule",),
    ),
    Plant(
        "silence about a cash receipt is a refusal",
        "P12",
        "naru/payments/issue_cash_receipt.py",
        "    now = gateway.now()\n    if isinstance(outcome, ReceiptIssued) and",
        "    now = gateway.now()\n"
        "    if isinstance(outcome, Unknown):\n"
        '        outcome = Declined("SILENT", outcome.why)\n'
        "    if isinstance(outcome, ReceiptIssued) and",
        frozenset({"receipts differ"}),
        points=("pg /v1/cash-receipts",) * 3,
    ),
    Plant(
        "silence about a barcode is a refusal",
        "P12",
        "naru/payments/issue_barcode.py",
        "        return await connector.issue_barcode(channel, order)\n",
        "        outcome = await connector.issue_barcode(channel, order)\n"
        '        return Declined("SILENT", "") if isinstance(outcome, Unknown) else outcome\n',
        frozenset({"accounts differ"}),
        points=("pg /v1/barcodes",) * 3,
    ),
    Plant(
        "silence about points is a refusal",
        "P12",
        "naru/payments/pay_by_points.py",
        "        return await connector.approve_by_points(channel, order, account)\n",
        "        outcome = await connector.approve_by_points(channel, order, account)\n"
        '        return Declined("SILENT", "") if isinstance(outcome, Unknown) else outcome\n',
        frozenset({"orphan charges", "P3"}),
        points=("pg /v1/points/payments",) * 3,
    ),
    Plant(
        "silence about a wallet is a refusal",
        "P12",
        "naru/payments/quick_pay.py",
        "        return await connector.approve_by_money(channel, order, member_id, pin_order_no)\n",
        "        outcome = await connector.approve_by_money(channel, order, member_id, pin_order_no)\n"
        '        return Declined("SILENT", "") if isinstance(outcome, Unknown) else outcome\n',
        frozenset({"orphan charges", "P3"}),
        points=("pg /v1/quick/payments",) * 3,
    ),
    Plant(
        "the PG is asked about a member before that is written down",
        "P13",
        "naru/payments/quick_pay.py",
        "    async with gateway.store.begin() as tx:\n        question = await tx.quick.ask(",
        "    await connector.ask_about_member(channel, fresh, again=False)\n"
        "    async with gateway.store.begin() as tx:\n        question = await tx.quick.ask(",
        frozenset({"not in the journal first"}),
        leads=("member",),
    ),
    Plant(
        "silence about an act of the mall is a refusal",
        "P12",
        "naru/payments/act_on_order.py",
        "    if isinstance(outcome, Unknown):\n"
        '        log.warning("%s: %s not answered: %s", act.imp_uid, act.act, outcome.why)\n'
        "        return act\n",
        '    if isinstance(outcome, Unknown):\n        outcome = Declined("SILENT", "silence")\n',
        frozenset({"acts differ"}),
        points=("pg /v1/mall/acts",) * 3,
    ),
    Plant(
        "an act whose process died is looked at by nobody",
        "L1",
        "naru/payments/act_on_order.py",
        "        return await session.order_acts.due(now, now - FIRST_LOOK, most)\n",
        "        await session.order_acts.due(now, now - FIRST_LOOK, most)\n        return []\n",
        frozenset({"L1"}),
        points=("act.after_commit", "act.after_pg") * 2,
    ),
    Plant(
        "a changed account keeps its old amount here",
        "P3",
        "naru/payments/run_errand.py",
        '                if payment and settled is not None and errand.kind == "change_account":\n',
        '                if payment and settled is not None and errand.kind == "nothing":\n',
        frozenset({"accounts differ", "promised and not done"}),
        leads=("pg /v1/virtual-accounts/changes",),
    ),
    Plant(
        "silence about a parcel is a refusal",
        "P12",
        "naru/payments/run_errand.py",
        "    now = gateway.now()\n"
        "    async with gateway.store.begin() as tx:\n"
        "        settled: Errand | None = None\n",
        "    now = gateway.now()\n"
        "    if isinstance(outcome, Unknown):\n"
        '        outcome = Declined("SILENT", outcome.why)\n'
        "    async with gateway.store.begin() as tx:\n"
        "        settled: Errand | None = None\n",
        frozenset({"errands differ"}),
        points=("pg /v1/escrow/shipments",) * 3,
    ),
    Plant(
        "silence about a person's code is a refusal",
        "P12",
        "naru/payments/certify_by_code.py",
        "        case Unknown():\n"
        "            raise OutcomeUnknown(DOUBT)\n"
        "    if settled.stage is not Stage.CERTIFIED:\n",
        "        case Unknown():\n"
        '            settled = await give_up(gateway, tried, "SILENT", "silence")\n'
        "    if settled.stage is not Stage.CERTIFIED:\n",
        frozenset({"people differ"}),
        points=("pg /v1/certifications",) * 3,
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


# The control of all of them: nothing planted, killed as much as any, and nothing may be found.
HEALTHY = Plant(
    "",
    "",
    "",
    "",
    "",
    frozenset(),
    25,
    (*OF_AN_APPROVAL, *(each.points[0] for each in PLANTS if each.points)),
)
# A storm without a death is over when its defect has had the time to show itself.
CALM_SECONDS = 12.0


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


async def look_for(defect: Plant | None, tree: Path | None, *, seconds: float = 100.0) -> Report:
    """The storm of a defect, over the house in `tree`; without one, that which a healthy house rides."""
    storm = defect or HEALTHY
    return await ride(
        1,
        kills=storm.kills,
        points=storm.points,
        seconds=seconds if storm.kills or storm.points else CALM_SECONDS,
        rate=6.0,
        tree=tree,
        quiet_seconds=60.0,
        hold=True,
        leads=storm.leads,
    )
