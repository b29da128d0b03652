"""Issue a billing key for a card that the merchant's server brings. No money moves.

As with money: the question is committed under our own number before the PG is asked, no transaction
is open during the call, and an answer that never came is found out by that number (reconcile_key.py).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from dataclasses import astuple
from datetime import datetime, timedelta

from naru.connectors import Can, KeyOrder
from naru.domain.billing_key import WINDOW_ONLY, BillingKey, CardNumber, IssuedKey
from naru.domain.channel import Channel
from naru.domain.errors import (
    BadCustomerUid,
    BadRequest,
    KeyInProgress,
    NotSupported,
    OutcomeUnknown,
    PgBusy,
    PgRefused,
    TestChannelRefused,
)
from naru.domain.ids import is_customer_uid
from naru.domain.merchant import Merchant
from naru.domain.once import Once
from naru.domain.outcome import Declined, KeyOutcome, Unknown
from naru.domain.payment import Buyer
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.domain.text import is_storable
from naru.payments.claim import FIRST_LOOK, Moment, moment
from naru.payments.gateway import Gateway
from naru.payments.settle import changed_by_server
from naru.payments.turns import looks
from naru.store import Session

log = logging.getLogger("naru.payments")

UNSUPPORTED = "API 빌링키 발급을 지원하지 않는 PG사입니다."
AFTER_A_DOUBT = timedelta(seconds=5)


async def issue_billing_key(
    gateway: Gateway,
    merchant: Merchant,
    channel: Channel,
    customer_uid: str,
    card: CardNumber,
    customer: Buyer | None = None,
    *,
    customer_id: str | None = None,
    once: Once | None = None,
) -> BillingKey:
    """The living key of this customer, on this card. A key that lives already is replaced.

    Of the same question put several times at once the others get the first one's answer.
    Raises NotSupported, TestChannelRefused, BadRequest, PgBusy; PgRefused with the PG's words;
    KeyInProgress while another question about this customer is not answered; Superseded; OutcomeUnknown
    when the PG did not answer: the worker finds out.
    """
    customer = customer or Buyer()
    connector = gateway.connector_of(channel)
    if Can.BILLING not in connector.can or channel.pg_code in WINDOW_ONLY:
        raise NotSupported(UNSUPPORTED)
    if channel.test and not merchant.allow_test_channels:
        raise TestChannelRefused
    if not is_customer_uid(customer_uid):
        raise BadCustomerUid
    said = (customer.name, customer.tel, customer.email, customer.addr, customer.postcode)
    if not all(map(is_storable, (customer_id, *said))):
        raise BadRequest("사용할 수 없는 문자가 있습니다.")
    if not gateway.pg_load.has_room(channel.id):
        raise PgBusy

    came = gateway.now()
    async with gateway.turns.take("key", merchant.id, customer_uid):
        asked = await _ask_first(
            gateway, channel, customer_uid, card, customer, customer_id, once, came
        )
        if isinstance(asked, BillingKey):
            return asked
        return await _issue(gateway, merchant, channel, customer_uid, card, customer, *asked)


async def _issue(
    gateway: Gateway,
    merchant: Merchant,
    channel: Channel,
    customer_uid: str,
    card: CardNumber,
    customer: Buyer,
    key: BillingKey,
    before: Moment,
) -> BillingKey:
    connector = gateway.connector_of(channel)
    order = KeyOrder(key.number, customer_uid, merchant.name, customer)
    outcome: KeyOutcome
    if not await _still_ours(gateway, key, before):
        outcome = Unknown("the process slept before it asked")
    else:
        try:
            with gateway.pg_load.asking(channel.id):
                outcome = await connector.issue_key(channel, order, card)
        except PgBusy as busy:
            outcome = Declined("F500", busy.sentence)  # Not asked, so nothing was made.
    reach("key.after_pg")

    settled = await settle_key(gateway, key, outcome)
    if settled.state == "refused":
        words = outcome.message if isinstance(outcome, Declined) else settled.reason
        raise PgRefused(outcome.code if isinstance(outcome, Declined) else "", words or "")
    if settled.state == "asking":
        raise OutcomeUnknown
    return settled


async def settle_key(gateway: Gateway, key: BillingKey, outcome: KeyOutcome) -> BillingKey:
    """Write down what became of the question for this key. Returns the key as it stands."""
    now = gateway.now()
    if isinstance(outcome, IssuedKey) and outcome.number != key.number:
        outcome = Unknown("the PG answered about another key")
    async with gateway.store.begin() as tx:
        current = await tx.billing_keys.of_number(key.number, hold=True)
        assert current is not None, "rows of keys stay"
        if current.state != "asking":
            return current
        if isinstance(outcome, IssuedKey) and await is_unwanted(tx, current):
            outcome = Unknown("the merchant's server gave or took a key since")
        settled: BillingKey | None = None
        match outcome:
            case IssuedKey():
                settled = await tx.billing_keys.make_live(current, outcome, now, now)
            case Declined(message=message, code=code) if current.fence == key.fence:
                settled = await tx.billing_keys.refuse(current, now, message or code)
            case _:
                why = outcome.why if isinstance(outcome, Unknown) else "somebody else asks by now"
                log.warning("billing key %s not known: %s", key.number, why)
                await tx.billing_keys.later(key, now + AFTER_A_DOUBT)
        if settled is not None and key.tries:
            note = f"ended by itself: {settled.state}"
            await tx.tasks.end_by_itself([TaskKind.KEY_UNKNOWN], key.number, note, now)
        reach("key.before_commit")
    reach("key.after_commit")
    return settled or current


async def is_unwanted(tx: Session, key: BillingKey) -> bool:
    """Did this key come with a payment in a window, and has the merchant's server a later word?"""
    if key.imp_uid is None:
        return False
    payment = await tx.payments.get(key.imp_uid)
    assert payment is not None, "payments are never deleted"
    return await changed_by_server(tx, payment)


async def _ask_first(
    gateway: Gateway,
    channel: Channel,
    customer_uid: str,
    card: CardNumber,
    customer: Buyer,
    customer_id: str | None,
    once: Once | None,
    came: datetime,
) -> tuple[BillingKey, Moment] | BillingKey:
    """Commit the question. While another one is open: wait, and take its answer if it is the same one."""
    merchant_id, number = channel.merchant_id, gateway.ids.pg_order_no()
    asked = _fingerprint(gateway, channel, card, customer, customer_id)
    async for _ in looks():
        before = moment(gateway)
        try:
            async with gateway.store.begin() as tx:
                key = await tx.billing_keys.ask(
                    channel,
                    customer_uid,
                    number,
                    customer,
                    customer_id,
                    asked,
                    before.day,
                    before.day + FIRST_LOOK,
                )
                # Only now: while the place is ours nobody else's answer can come between look and question.
                live = await tx.billing_keys.get(merchant_id, customer_uid)
                if live is not None and once is None and _answers(live, asked, came):
                    raise _Answered(live)
                await tx.idempotency.bind(once, number)
                reach("key.before_ask")
            reach("key.after_ask")
            return key, before
        except KeyInProgress:
            continue
        except _Answered as answered:
            return answered.key
    async with gateway.store.direct() as session:
        first = await session.billing_keys.asking(merchant_id, customer_uid)
        if first is not None:
            await session.billing_keys.hasten(first.number, gateway.now())
    raise KeyInProgress


class _Answered(Exception):
    """The question was answered while ours was waiting, so ours is not written."""

    def __init__(self, key: BillingKey) -> None:
        super().__init__(key.number)
        self.key = key


def _answers(key: BillingKey, asked: str, came: datetime) -> bool:
    """Is this key the answer to the same question, which another call put while ours was waiting?"""
    return (
        key.updated_at is not None
        and key.updated_at >= came
        and hmac.compare_digest(key.fingerprint, asked)
    )


def _fingerprint(
    gateway: Gateway,
    channel: Channel,
    card: CardNumber,
    customer: Buyer,
    customer_id: str | None,
) -> str:
    """What is asked, to be compared and never to be read: two cards may look alike behind their masks."""
    said = (channel.id, *astuple(card), *astuple(customer), customer_id)
    text = json.dumps(said, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hmac.new(gateway.root_key, b"billing key\n" + text, hashlib.sha256).hexdigest()


async def _still_ours(gateway: Gateway, key: BillingKey, since: Moment) -> bool:
    """As claim.still_ours: who slept does not ask what another one has taken up."""
    now = moment(gateway)
    slept = max(now.day - since.day, timedelta(seconds=now.loop - since.loop))
    if slept <= FIRST_LOOK:
        return True
    async with gateway.store.direct() as session:
        return await session.billing_keys.keep(key.number, now.day + FIRST_LOOK)
