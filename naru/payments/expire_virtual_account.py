"""Close a virtual account that nobody paid by its due date, where the operator wants that.

i'mport lets such a payment stay `ready` for good (unknowns.md A28), and so do we unless told
otherwise. The PG is asked first, always: it knows of a deposit that has not been told yet, and then
it refuses, so that a deposit and the expiry at one moment end as a deposit.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from naru.domain.errors import OutcomeUnknown, Refused
from naru.domain.payment import Payment
from naru.payments.close_virtual_account import close_virtual_account
from naru.payments.gateway import Gateway

log = logging.getLogger("naru.payments")

# The PG's clock may be behind ours, and a notice of the last minute is still on its way.
GRACE = timedelta(hours=1)
ASK_AGAIN = timedelta(days=1)


async def due_accounts(gateway: Gateway, most: int = 100) -> list[tuple[int, str]]:
    """(merchant id, imp_uid) of accounts to close now, longest overdue first."""
    if not gateway.close_expired_accounts:
        return []
    now = gateway.now()
    async with gateway.store.direct() as session:
        return await session.payments.overdue(now - GRACE, now - ASK_AGAIN, most)


async def expire_virtual_account(
    gateway: Gateway, merchant_id: int, imp_uid: str
) -> Payment | None:
    """waiting_deposit -> failed, once the PG has closed the account. None: it was not closed now.

    A PG that refuses has a deposit, which its notice or its book will tell; one that does not answer
    is asked again by the worker, as for every open question.
    """
    try:
        return await close_virtual_account(gateway, merchant_id, imp_uid, barcode=None)
    except (Refused, OutcomeUnknown) as error:
        log.warning("%s: its account was not closed: %s", imp_uid, error)
        return None
