"""A deposit that paid nothing was given back in the PG's console: a person says so, and the books follow.

No PG tells of it. From here on the account counts as if the deposit had never come, so that the
right amount still pays; what has paid is cancelled, never returned.
"""

from __future__ import annotations

import logging
from datetime import datetime

from naru.domain.errors import Refused
from naru.domain.money import Money
from naru.domain.task import Task
from naru.domain.text import clean
from naru.store import Session

log = logging.getLogger("naru.payments")


class NotReturnable(Refused):
    """Nothing that could have been given back. The sentence is for an operator."""


async def return_deposit(tx: Session, task: Task, who: str, note: str, now: datetime) -> Money:
    """Book the return of the deposit that this task is about. Answers how much it was.

    Once; `who` and `note` are kept with it and in the audit log. Raises NotReturnable.
    """
    channel_id, slash, notice_key = task.subject.partition("/")
    if not task.kind.startswith("deposit_") or not slash or not channel_id.isdigit():
        raise NotReturnable(f"Task {task.id} is about no deposit.")
    deposit = await tx.deposits.find([int(channel_id)], notice_key)
    if deposit is None:
        raise NotReturnable(f"The deposit of task {task.id} is not booked.")
    match await tx.deposits.give_back(int(channel_id), notice_key, who, note, now):
        case "again":
            raise NotReturnable("That deposit was returned before.")
        case "paid":
            raise NotReturnable(
                f"That deposit has paid {deposit['imp_uid']}: cancel the payment instead."
            )
    log.warning("deposit %s was returned, says %s", task.subject, clean(who))
    return Money(deposit["amount"], deposit["currency"])
