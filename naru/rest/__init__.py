"""The door of the merchant's server: i'mport's REST API (V1), spoken on plain ASGI.

`Door(gateway, operations())` is the application. One module per tag of the API holds the operations of that tag; `read_fields.py`
and `coerce.py` turn a request into its type, `annotations.py` and `envelope.py` turn the answer into V1's bytes.
"""

from __future__ import annotations

from naru.rest import (
    authenticate,
    benepia,
    certifications,
    codes,
    cvs,
    escrow_logis,
    kakao,
    kcpquick,
    naver,
    partners,
    payco,
    payments,
    payments_validation,
    paymentwall,
    receipts,
    subscribe,
    subscribe_customer,
    subscribe_schedule,
    tiers,
    users,
    vbanks,
    vbanks_holder,
)
from naru.rest.door import Door
from naru.rest.operation import Operation


def operations() -> tuple[Operation, ...]:
    """The whole table: every operation that this door serves."""
    return (
        *authenticate.OPERATIONS,
        *users.OPERATIONS,
        *tiers.OPERATIONS,
        *payments.OPERATIONS,
        *payments_validation.OPERATIONS,
        *vbanks.OPERATIONS,
        *certifications.OPERATIONS,
        *subscribe.OPERATIONS,
        *subscribe_customer.OPERATIONS,
        *subscribe_schedule.OPERATIONS,
        *receipts.OPERATIONS,
        *partners.OPERATIONS,
        *escrow_logis.OPERATIONS,
        *codes.OPERATIONS,
        *cvs.OPERATIONS,
        *benepia.OPERATIONS,
        *kcpquick.OPERATIONS,
        *kakao.OPERATIONS,
        *vbanks_holder.OPERATIONS,
        *naver.OPERATIONS,
        *payco.OPERATIONS,
        *paymentwall.OPERATIONS,
    )


__all__ = ["Door", "Operation", "operations"]
