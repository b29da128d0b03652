"""Find out what became of a billing key whose question was never answered, and let go of dead ones.

Called by the worker for every key that is due. A key that the PG has never heard of is closed there
first: a question that is still on its way makes none any more. So is one that came with a window when
the merchant's server has had a later word.
"""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

from naru.domain.billing_key import BillingKey, IssuedKey
from naru.domain.channel import Channel
from naru.domain.errors import PgBusy
from naru.domain.outcome import Declined, KeyOutcome, NotFound, Undone, Unknown
from naru.domain.points import reach
from naru.domain.task import TaskKind
from naru.payments.gateway import Gateway
from naru.payments.issue_billing_key import is_unwanted, settle_key
from naru.payments.recovery import TELL_AFTER, again_at

LEASE = timedelta(seconds=20)
NEVER_MADE = Declined("NOT_ARRIVED", "PG사에 빌링키 발급 요청이 전달되지 않았습니다.")


async def due_keys(gateway: Gateway, most: int = 100) -> list[str]:
    """Numbers of keys that should be looked at now, oldest first."""
    async with gateway.store.direct() as session:
        return await session.billing_keys.due(gateway.now(), most)


async def reconcile_key(gateway: Gateway, number: str) -> BillingKey | None:
    """One try to end what is open about this key. None when nothing is due."""
    now = gateway.now()
    with ExitStack() as places:
        try:
            async with gateway.store.begin() as tx:
                key = await tx.billing_keys.lease(number, now + LEASE, now)
                if key is None:
                    return None
                channel = await tx.channels.get(key.channel_id)
                assert channel is not None, "a key's channel is never deleted"
                places.enter_context(gateway.pg_load.looking(channel.id))
        except PgBusy:
            return None  # It stays due, and nothing was leased.
        return await _look(gateway, channel, key)


async def _look(gateway: Gateway, channel: Channel, key: BillingKey) -> BillingKey:
    number = key.number
    connector = gateway.connector_of(channel)
    if key.state == "asking":
        found: KeyOutcome | NotFound = await connector.inquire_key(channel, number)
        reach("key.after_pg")
        if isinstance(found, NotFound) or await _is_unwanted(gateway, key, found):
            closed = await connector.forget_key(channel, number)
            found = NEVER_MADE if isinstance(closed, Undone) else closed
        if not isinstance(found, Unknown):
            return await settle_key(gateway, key, found)
    elif await forget_at_pg(gateway, key):
        return key
    now, since = gateway.now(), key.ended_at or key.asked_at
    async with gateway.store.begin() as tx:
        await tx.billing_keys.later(key, again_at(key.tries, since, now))
        if now - since > TELL_AFTER:
            await tx.tasks.open(
                TaskKind.KEY_UNKNOWN,
                number,
                f"{key.state} since {since:%Y-%m-%d %H:%M:%S}Z, {key.tries} tries",
                now,
                imp_uid=key.imp_uid,
            )
    return key


async def _is_unwanted(gateway: Gateway, key: BillingKey, found: KeyOutcome) -> bool:
    if not isinstance(found, IssuedKey):
        return False
    async with gateway.store.direct() as session:
        return await is_unwanted(session, key)


async def forget_at_pg(gateway: Gateway, key: BillingKey) -> bool:
    """Tell the PG that nobody uses this key any more. False: it did not answer."""
    async with gateway.store.direct() as session:
        channel = await session.channels.get(key.channel_id)
    assert channel is not None, "a key's channel is never deleted"
    told = await gateway.connector_of(channel).forget_key(channel, key.number)
    if isinstance(told, Unknown):
        return False
    now = gateway.now()
    async with gateway.store.begin() as tx:
        await tx.billing_keys.forgotten(key, now)
        if key.tries:
            await tx.tasks.end_by_itself(
                [TaskKind.KEY_UNKNOWN], key.number, "ended by itself: the PG forgot the key", now
            )
    return True
