"""Tell operators of new tasks: at NARU_ALERT_URL, again and again until it is heard, or in the log.

Each task is posted at least once as JSON; `id` is the same on every try. Nothing secret and nothing
of the buyer's is in it. It carries no signature, because whoever reads it only goes and looks: keep
strangers out with a secret in the address's query, which no log of ours ever shows.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from naru.domain.errors import NoAnswer, NotSent
from naru.domain.task import SAID, Task, TaskKind
from naru.payments.gateway import Gateway
from naru.wire import Timeouts

log = logging.getLogger("naru.tasks")

TIMEOUTS = Timeouts(connect=5.0, read=10.0, total=10.0)
AT_ONCE = 20
# Longer than all of one round's posts may take, so that two workers do not tell the same.
LEASE = timedelta(minutes=4)
WAITS_SECONDS = (10, 60, 300, 1_800, 3_600)


async def tell_operators(gateway: Gateway) -> int:
    """Tell of every task whose time has come. Returns how many were heard."""
    now = gateway.now()
    async with gateway.store.direct() as session:
        waiting = await session.tasks.take_to_tell(now, now + LEASE, AT_ONCE)
    heard = 0
    for task, tries in waiting:
        if tries == 1:
            log.error(
                "task %d, %s: %s (naru tasks show %d)", task.id, task.kind, task.sentence, task.id
            )
        why = await _post(gateway, task)
        now = gateway.now()
        async with gateway.store.direct() as session:
            if why is None:
                await session.tasks.told(task.id, now)
                heard += 1
            else:
                wait = WAITS_SECONDS[min(tries, len(WAITS_SECONDS)) - 1]
                await session.tasks.tell_again(task.id, now + timedelta(seconds=wait))
                log.error("task %d was not heard at NARU_ALERT_URL: %s", task.id, why)
    return heard


async def _post(gateway: Gateway, task: Task) -> str | None:
    """Why it was not heard; None when it was, or when the log is all there is."""
    if gateway.alert_url is None:
        return None
    try:
        # The address is the operator's own, like a PG's: it may be on a private network.
        answer = await gateway.pg_wire.post_json(
            gateway.alert_url, alert(task), timeouts=TIMEOUTS, max_body=1024
        )
    except (NotSent, NoAnswer) as error:
        return str(error)
    return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"


def alert(task: Task) -> dict[str, Any]:
    """What is posted. `text` says it in one line, which chat services show as it is."""
    said = SAID[TaskKind(task.kind)]
    return {
        "id": task.id,
        "kind": task.kind,
        "subject": task.subject,
        "imp_uid": task.imp_uid,
        "opened_at": _iso(task.opened_at),
        "sentence": task.sentence,
        "happened": said.happened,
        "advice": said.advice,
        "happened_ko": said.happened_ko,
        "advice_ko": said.advice_ko,
        "text": f"[naru] {said.happened_ko} {task.imp_uid or task.subject} ({task.sentence})",
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
