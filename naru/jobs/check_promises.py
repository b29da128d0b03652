"""The house looks at itself: the audit of what changed, every ten minutes, and a task for what is broken.

Promises of time (L1, L2) are left to `naru audit` and the doctor: after an hour without a worker
everything is late, and the worker that would tell is the one that has just begun to catch up.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from naru.domain.task import TaskKind
from naru.payments.gateway import Gateway
from naru.store.audit import audit_recent

log = logging.getLogger("naru.tasks")

# Longer than the time between two rounds, so that nothing falls between them.
RECENT = timedelta(minutes=20)


async def check_promises(gateway: Gateway) -> int:
    """Audit what changed lately. Returns how much is broken; a person is told of each check once.

    Raises StoreUnavailable.
    """
    report = await audit_recent(gateway.store, RECENT, gateway.now())
    broken = [check for check in report.checks if check.broken and check.promise[0] != "L"]
    for check in broken:
        first = ", ".join(each.id for each in check.examples)
        more = "" if check.broken <= len(check.examples) else " and more"
        sentence = f"{check.promise} {check.name}: {check.broken} broken: {first}{more}."
        log.error("%s %s", sentence, check.remedy)
        async with gateway.store.begin() as tx:
            await tx.tasks.open(TaskKind.PROMISE_BROKEN, check.name, sentence, gateway.now())
    return sum(check.broken for check in broken)
