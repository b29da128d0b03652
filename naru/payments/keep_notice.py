"""A notice that its PG signed and that cannot be read or booked is kept as it came, and tried again.

The PG is not told OK, and gives up some day; then this row is all there is of the deposit. A later
version that understands it books it. All that one channel's PG sends lies under one task, and is let
go with it: when the last one is booked, or when a person has closed it. What is booked at once is
never kept: its deposit says everything.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from naru.connectors import UnknownConnector, find
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn
from naru.domain.task import TaskKind
from naru.payments.gateway import Gateway
from naru.payments.hear_notice import hear_notice
from naru.store import StoreUnavailable
from naru.store.notices import Notice

log = logging.getLogger("naru.payments")

LEASE = timedelta(minutes=1)
# After the n-th try; the last one repeats, so that an update is noticed within an hour.
WAITS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))


async def keep_notice(
    gateway: Gateway, channel: Channel, headers: Mapping[str, str], body: bytes, why: str
) -> None:
    """Keep it, sealed, and lay it before a person: one task for all of a channel, which counts them."""
    now = gateway.now()
    notice = Notice(channel.id, headers, body, now)
    log.error("a notice for channel %s is kept: %s", channel.channel_key, why)
    async with gateway.store.begin() as tx:
        if await tx.notices.known(notice):
            return
        task_id = None
        while task_id is None:  # Somebody may close the one that we found open.
            await tx.tasks.open(
                TaskKind.NOTICE_UNREADABLE,
                notice.subject,
                f"Channel {channel.channel_key}: a signed notice of {len(body)} bytes"
                f" (SHA-256 {notice.digest.hex()[:16]}…) is kept: {why}",
                now,
            )
            task_id = await tx.notices.task(notice)
        await tx.notices.keep(notice, task_id, now + WAITS[0])


async def replay_notices(gateway: Gateway) -> int:
    """Try what is due once more, and let go of what is over. Returns how many were booked."""
    async with gateway.store.direct() as session:
        await session.notices.forget()
    booked = 0
    while True:
        now = gateway.now()
        async with gateway.store.direct() as session:
            notice = await session.notices.take(now, now + LEASE)
        if notice is None:
            break
        if await _replay(gateway, notice, now):
            booked += 1
    async with gateway.store.direct() as session:
        await session.notices.forget()
    return booked


async def _replay(gateway: Gateway, notice: Notice, now: datetime) -> bool:
    async with gateway.store.direct() as session:
        channel = await session.channels.get(notice.channel_id)
    assert channel is not None, "a notice's channel is never deleted"
    try:
        # Its proof was fresh when it came.
        connector = find(channel.connector, gateway.pg_wire, lambda: notice.received_at)
        told = connector.read_notice(channel, dict(notice.headers), notice.body)
        meaning = "nothing is asked"
        if told is not None:
            meaning = await hear_notice(gateway, channel, told)
    except StoreUnavailable:
        raise
    except Exception as error:
        if not isinstance(error, ForgedReturn | UnknownConnector):
            log.exception("a kept notice of channel %s cannot be booked", channel.channel_key)
        async with gateway.store.direct() as session:
            await session.notices.later(notice, now + WAITS[min(notice.tries, len(WAITS) - 1)])
        return False
    async with gateway.store.begin() as tx:
        task_id = await tx.notices.done(notice, now)
        if task_id is not None:
            kept, _ = await tx.notices.of_task(task_id)
            await tx.tasks.close(task_id, "naru", f"all booked ({kept}), the last: {meaning}", now)
    log.warning("a kept notice of channel %s is booked: %s", channel.channel_key, meaning)
    return True
