"""Defects planted on purpose: a simulation that does not find them proves nothing.

A defect is one replacement in the text of one function or of one named statement. A text that is not
there any more is an error, so that no defect becomes harmless without anybody noticing.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from naru.store.named import load
from tests.simulation import statements
from tests.simulation.schema import schema
from tests.simulation.sql import Parser, Writer


@dataclass(frozen=True)
class Planted:
    """`where` is `module:function`, `module:Class.method`, `sql:file.statement` or `index:name`.

    `promises` are those of which at least one must be seen broken. `sleeps` is where processes fall
    asleep (`Plan.sleeps`), for what else meets in one seed of hundreds.
    """

    name: str
    promises: tuple[str, ...]
    where: str
    old: str = ""
    new: str = ""
    sleeps: tuple[tuple[str, float], ...] = ()

    @contextmanager
    def apply(self) -> Iterator[None]:
        """The defect is there for as long as the block runs."""
        kind, _, name = self.where.partition(":")
        with {"sql": _sql, "index": _index}.get(kind, _python)(kind, name, self.old, self.new):
            yield


class Misfit(AssertionError):
    """The text that a defect replaces is not there."""


def _replaced(text: str, old: str, new: str, where: str) -> str:
    if old not in text:
        raise Misfit(f"{where} does not say {old!r}")
    return text.replace(old, new, 1)


@contextmanager
def _sql(kind: str, name: str, old: str, new: str) -> Iterator[None]:
    file, _, title = name.partition(".")
    # Whoever loads a file of statements gets queries of its own: all that have this name are meant.
    text = _replaced(load(file)[title].sql, old, new, name)
    run = Writer(schema()).compile(Parser(text).statement(), name)
    before = dict(statements._OWN)
    known = dict(statements._known)
    statements._OWN[name] = run
    statements._known.clear()
    try:
        yield
    finally:
        statements._OWN.clear()
        statements._OWN.update(before)
        statements._known.clear()
        statements._known.update(known)


@contextmanager
def _index(kind: str, name: str, old: str, new: str) -> Iterator[None]:
    """This unique index does not exist."""
    table = next(
        (t for t in schema().tables.values() if any(u.name == name for u in t.uniques)), None
    )
    if table is None:
        raise Misfit(f"there is no index {name}")
    before = list(table.uniques)
    table.uniques[:] = [each for each in before if each.name != name]
    try:
        yield
    finally:
        table.uniques[:] = before


@contextmanager
def _python(kind: str, name: str, old: str, new: str) -> Iterator[None]:
    module = import_module(kind)
    owner: Any = module
    *path, last = name.split(".")
    for step in path:
        owner = getattr(owner, step)
    good = getattr(owner, last)
    text = textwrap.dedent(inspect.getsource(good))
    space = dict(vars(module))
    code = compile(
        _replaced(text, old, new, f"{kind}:{name}"),
        f"<planted in {name}>",
        "exec",
        dont_inherit=True,
        flags=__import__("__future__").annotations.compiler_flag,
    )
    exec(code, space)
    bad = space[last]
    places = [(owner, last)] if path else _places(good)
    for where, attribute in places:
        setattr(where, attribute, bad)
    try:
        yield
    finally:
        for where, attribute in places:
            setattr(where, attribute, good)


def _places(function: Any) -> list[tuple[Any, str]]:
    """Every module of the house (and of the simulation) that knows this function by a name."""
    return [
        (module, name)
        for title, module in sorted(sys.modules.items())
        if title.startswith(("naru.", "tests.simulation"))
        for name, value in list(vars(module).items())
        if value is function
    ]


SETTLE = "naru.payments.settle"
CATALOGUE = (
    Planted(
        "silence is a refusal",
        ("P12", "P3"),
        f"{SETTLE}:settle_approval",
        "    connector = gateway.connector_of(channel)\n",
        "    connector = gateway.connector_of(channel)\n"
        "    if isinstance(outcome, Unknown):\n"
        "        outcome = Declined('F500', outcome.why)\n",
    ),
    Planted(
        "not found is final",
        ("P3", "P12"),
        "naru.payments.recovery:way_when_not_found",
        "return Way.NEVER_WAS if asked_at > never_was_from(connector, intent) else Way.WAIT",
        "return Way.NEVER_WAS",
    ),
    Planted(
        "the PG is asked before the claim",
        ("P13",),
        "naru.payments.approve:_ask_pg",
        "        claimed = await claim(",
        "        await connector.approve(\n"
        "            channel, Ticket(payment.pg_order_no, payment.amount, back.token)\n"
        "        )\n"
        "        claimed = await claim(",
    ),
    Planted(
        "the net-cancel is sent before it is decided",
        ("P13",),
        f"{SETTLE}:undo",
        "    async with gateway.store.begin() as tx:\n",
        "    await connector.net_cancel(channel, payment.pg_order_no, reason)\n"
        "    async with gateway.store.begin() as tx:\n",
    ),
    Planted(
        "the webhook is laid before the commit, in a transaction of its own",
        ("P24", "P11"),
        f"{SETTLE}:write_approval",
        "        await announce(tx, await merchant_of(tx, settled), settled)\n",
        "        async with gateway.store.direct() as early:\n"
        "            await announce(early, await merchant_of(early, settled), settled)\n",
    ),
    Planted(
        "a payment earns no webhook",
        ("P4",),
        f"{SETTLE}:write_approval",
        "        await announce(tx, await merchant_of(tx, settled), settled)\n",
        "        pass\n",
    ),
    Planted(
        "a late answer wins over an undoing",
        ("P0", "P3", "P8"),
        f"{SETTLE}:settle_approval",
        'if intent is None or (intent.state == "undoing" and not isinstance(outcome, Undone)):',
        "if intent is None:",
        # Who was answered sleeps until another began to undo it, who sleeps before the PG is told.
        sleeps=(("approve.after_pg", 0.3), ("undo.after_decision", 0.9)),
    ),
    Planted(
        "whatever amount the PG answers",
        ("P3",),
        f"{SETTLE}:settle_approval",
        'check_answer(Ticket(payment.pg_order_no, payment.amount, ""), outcome)',
        "pass",
    ),
    Planted("two approvals of one order", ("P2",), "index:one_approval_per_order"),
    Planted(
        "the balance is not compared with the checksum",
        ("P7",),
        "naru.domain.cancellation:plan_cancellation",
        "request.checksum is not None and request.checksum != payment.balance",
        "request.checksum is None and False",
    ),
    Planted(
        "a cancel that is not answered was refused",
        ("P3",),
        "naru.payments.cancel:write_cancel",
        "            await doubt(gateway, tx, gateway.connector_of(channel), intent, outcome.why)\n",
        "            await tx.intents.end(intent.id, 'refused', now, outcome.why)\n",
    ),
    Planted(
        "another merchant's payment",
        ("P10",),
        "sql:payments.lock",
        "AND merchant_id = $2",
        "AND $2 > 0",
    ),
    Planted(
        "a later webhook overtakes",
        ("P4",),
        "sql:outbox.claim",
        "AND e.version < d.version",
        "AND e.version < 0",
    ),
    Planted(
        "another id on every attempt",
        ("P4",),
        "naru.webhooks.deliver:request_headers",
        "read_secrets(delivery.secrets), delivery.webhook_id, delivery.body, now",
        "read_secrets(delivery.secrets), f'{delivery.webhook_id}-{delivery.attempts}', "
        "delivery.body, now",
    ),
    Planted(
        "a dead sender's lease never ends",
        ("L2",),
        "sql:outbox.claim",
        "(d.leased_until IS NULL OR d.leased_until <= now())",
        "d.leased_until IS NULL",
    ),
    Planted(
        "nobody is told of a doubt",
        ("L1", "P3"),
        "naru.payments.doubt:tell_operator",
        "    await tx.tasks.open(",
        "    return\n    await tx.tasks.open(",
    ),
    Planted(
        "doubts are not looked for",
        ("L1", "P3"),
        "sql:intents.due",
        "next_try_at <= $1",
        "next_try_at <= $1 AND imp_uid = ''",
    ),
    Planted(
        "OK before the deposit is booked",
        ("P16",),
        "naru.payments.confirm_deposit:confirm_deposit",
        '    reach("notice.before_book")\n',
        '    reach("notice.before_book")\n'
        "    from naru.store import StoreUnavailable\n"
        "    if gateway.chance.random() < 0.1:\n"
        "        return 'exact'\n",
    ),
    Planted(
        "only the last deposit counts",
        ("P16",),
        "sql:deposits.total",
        "COALESCE(sum(amount), 0)",
        "COALESCE(min(amount), 0)",
    ),
    Planted(
        "the announced amount is not compared",
        ("P17",),
        "naru.domain.prepared:check_prepared",
        "    if prepared is None:",
        "    if True:",
    ),
    Planted(
        "two receipts of the same money",
        ("P2", "P3"),
        "index:one_receipt",
    ),
    Planted(
        "a receipt that is not answered was refused",
        ("P3",),
        "naru.payments.issue_cash_receipt:settle_receipt",
        "    async with gateway.store.begin() as tx:\n",
        "    if isinstance(outcome, Unknown):\n"
        "        outcome = Declined('F500', outcome.why)\n"
        "    async with gateway.store.begin() as tx:\n",
    ),
    Planted(
        "a receipt that comes after its money went back stays",
        ("P3",),
        "naru.payments.issue_cash_receipt:settle_receipt",
        "take_back=differs or not paid",
        "take_back=differs",
    ),
    Planted(
        "a till is told yes of a recalled barcode",
        ("P16",),
        "naru.payments.issue_barcode:may_be_paid",
        "payment.step is not Step.WAITING_DEPOSIT",
        "payment is None",
    ),
    Planted(
        "points that are not answered were not taken",
        ("P3", "P12"),
        "naru.payments.pay_by_points:pay_by_points",
        "        return await connector.approve_by_points(channel, order, account)\n",
        "        outcome = await connector.approve_by_points(channel, order, account)\n"
        "        return Declined('F500', '') if isinstance(outcome, Unknown) else outcome\n",
    ),
    Planted(
        "a member's money is asked for before the claim",
        ("P13",),
        "naru.payments.quick_pay:pay_by_money",
        "    async def ask(order: ChargeOrder) -> Outcome:\n",
        "    early = ChargeOrder(\n"
        "        gateway.ids.pg_order_no(), opening.amount, opening.amount, None, '', '',\n"
        "        opening.buyer,\n"
        "    )\n"
        "    await connector.approve_by_money(channel, early, member_id, pin_order_no)\n\n"
        "    async def ask(order: ChargeOrder) -> Outcome:\n",
    ),
    Planted(
        "a question about a member that is not answered was refused",
        ("P3",),
        "naru.payments.quick_pay:ask_about_member",
        "    if isinstance(outcome, Unknown):\n",
        "    if isinstance(outcome, Unknown):\n"
        "        await _end(gateway, question, Declined('F500', outcome.why))\n",
    ),
    Planted(
        "an act that was given up is asked for all the same",
        ("P3", "P0"),
        "naru.payments.cancel:_reserve",
        "if request.act_no and not await tx.order_acts.take(request.act_no):",
        "if False:",
    ),
    Planted(
        "what a PG was told of an account is not written here",
        ("P3",),
        "naru.payments.run_errand:_settle",
        'if payment and settled is not None and errand.kind == "change_account":',
        "if False:",
    ),
    Planted(
        "a deposit before its account's change is forgotten",
        ("P16",),
        "naru.payments.run_errand:_change_account",
        "        await pay_from_changed_account(gateway, tx, changed)\n",
        "        pass\n",
        # Who was answered sleeps until the buyer has paid what the bank shows.
        sleeps=(("errand.after_pg", 0.5),),
    ),
    Planted(
        "nobody gives back what checked a card",
        ("L1",),
        "naru.payments.check_card:give_back_check",
        "    if payment.step is Step.PAID:\n",
        "    if False:\n",
    ),
    Planted(
        "a charge loses the card that it keeps",
        ("P3",),
        "naru.payments.settle:write_approval",
        "                await keep_key(tx, settled, outcome.issued_key, now)\n",
        "                pass\n",
    ),
    Planted(
        "a schedule that is given another time forgets its attempts",
        ("P15", "P0"),
        "sql:schedules.move",
        "SET state = 'scheduled',",
        "SET state = 'scheduled', attempt = 0,",
    ),
)
