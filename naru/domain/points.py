"""Named points of the money path: where a process may be told to die, so that dying there is tested.

In a house that runs, `reach` does nothing. A test arms one point (`NARU_CRASH=approve.after_pg:3`
kills this process with SIGKILL at the third pass), and the simulation listens at all of them.
docs/reference/reliability.md says what is promised for each.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

# Name -> what has just happened. `before_commit` is inside the transaction, nothing is durable yet.
POINTS = {
    "start.before_open": "a payment was asked for, nothing is written",
    "start.after_open": "the payment is written as opened",
    "window.after_pg": "the PG said where its window is",
    "abandon.before_commit": "the buyer gave up, nothing is written",
    "abandon.after_commit": "the payment is written as failed",
    "prepare.before_commit": "an amount was announced, nothing is written",
    "prepare.after_commit": "the announced amount is written",
    "return.before_proof": "the browser came back, its fields are not read yet",
    "return.after_proof": "the PG's proof was read",
    "confirm.before_ask": "the merchant is about to be asked",
    "confirm.after_ask": "the merchant answered",
    "claim.before_commit": "the claim and its intent are in an open transaction",
    "claim.after_commit": "the claim and its intent are durable, no PG was asked",
    "approve.after_pg": "the PG answered, nothing of it is written",
    "settle.before_commit": "the outcome is in an open transaction",
    "settle.after_commit": "the outcome is durable, nobody was told",
    "undo.before_decision": "an undoing is decided in an open transaction",
    "undo.after_decision": "the undoing is durable, the PG was not asked",
    "undo.after_pg": "the PG answered the net-cancel, nothing of it is written",
    "undo.before_commit": "the undone approval is in an open transaction",
    "undo.after_commit": "the undone approval is durable",
    "reconcile.before_lease": "a doubtful payment is about to be looked at",
    "reconcile.after_lease": "a doubtful payment is leased for one try",
    "reconcile.after_pg": "the PG answered the inquiry, nothing of it is written",
    "cancel.before_reserve": "the cancel's intent is in an open transaction",
    "cancel.after_reserve": "the cancel's intent is durable, no PG was asked",
    "cancel.after_pg": "the PG answered the cancel, nothing of it is written",
    "cancel.before_commit": "the cancellation is in an open transaction",
    "cancel.after_commit": "the cancellation is durable, nobody was told",
    "account.after_pg": "the PG issued a virtual account, nothing of it is written",
    "key.before_ask": "the question for a billing key is in an open transaction",
    "key.after_ask": "the question for a billing key is durable, no PG was asked",
    "key.after_pg": "the PG answered about a billing key, nothing of it is written",
    "key.before_commit": "a billing key's end is in an open transaction",
    "key.after_commit": "a billing key's end is durable",
    "schedule.before_commit": "a due schedule, its payment and its claim are in an open transaction",
    "schedule.after_commit": "a schedule is executed, its payment claimed, no PG was asked",
    "schedule.before_fail": "a due schedule that cannot be charged is in an open transaction",
    "schedule.after_fail": "a schedule is executed and its payment failed, no PG was asked",
    "schedule.before_change": "schedules made, moved or revoked are in an open transaction",
    "schedule.after_change": "schedules made, moved or revoked are durable",
    "receipt.before_ask": "the question about a cash receipt is in an open transaction",
    "receipt.after_ask": "the question about a cash receipt is durable, no PG was asked",
    "receipt.after_pg": "the PG answered about a cash receipt, nothing of it is written",
    "receipt.before_commit": "a cash receipt's end is in an open transaction",
    "receipt.after_commit": "a cash receipt's end is durable",
    "errand.before_ask": "an errand is in an open transaction",
    "errand.after_ask": "an errand is durable, no PG was told",
    "errand.after_pg": "the PG answered an errand, nothing of it is written",
    "errand.before_commit": "an errand's end is in an open transaction",
    "errand.after_commit": "an errand's end is durable",
    "member.before_ask": "a question about a member is in an open transaction",
    "member.after_ask": "a question about a member is durable, no PG was asked",
    "member.after_pg": "the PG answered about a member, nothing of it is written",
    "act.before_commit": "acts about an order are in an open transaction",
    "act.after_commit": "acts about an order are durable, no PG was told",
    "act.after_pg": "the PG answered an act about an order, nothing of it is written",
    "close.before_reserve": "the closing's intent is in an open transaction",
    "close.after_reserve": "the closing's intent is durable, no PG was asked",
    "close.after_pg": "the PG answered the closing, nothing of it is written",
    "close.before_commit": "the closing is in an open transaction",
    "close.after_commit": "the closing is durable",
    "notice.before_book": "a PG's notice was read, nothing is written",
    "deposit.before_commit": "a deposit is in an open transaction",
    "deposit.after_commit": "a deposit is durable, the PG was not answered",
    "deposit.early_before_commit": "an account and what came before it are in an open transaction",
    "compare.after_page": "the PG showed a page of its book",
    "compare.after_pg": "the PG was asked about one difference, nothing of it is written",
    "compare.before_commit": "a difference and what was done about it are in an open transaction",
    "compare.after_commit": "a difference and what was done about it are durable",
    "webhook.before_claim": "a webhook is about to be taken",
    "webhook.after_claim": "a webhook is leased, nothing was sent",
    "webhook.after_send": "the merchant answered, nothing of it is written",
    "webhook.after_book": "the attempt is durable",
}

_listener: Callable[[str], None] | None = None


def reach(point: str) -> None:
    """This process is at `point` now. Does nothing unless somebody listens."""
    if _listener is not None:
        _listener(point)


def listen(listener: Callable[[str], None] | None) -> None:
    """Call `listener` with the name of every point that is reached; None ends it."""
    global _listener
    _listener = listener


def arm(order: str) -> None:
    """Die with SIGKILL at a point: `name`, or `name:n` for the n-th pass.

    Raises ValueError for a point that is not in the table or a number below 1.
    """
    name, _, times = order.partition(":")
    left = int(times or 1)
    if name not in POINTS or left < 1:
        raise ValueError(f"{order!r} is not a point of the money path")

    def die(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    listen(die)
