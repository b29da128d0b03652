"""`/cvs`: barcodes that are paid at the till of a convenience store. Source: protocol facts, REST §9.

i'mport's payment has no field for a barcode. It is answered where an account number stands:
`vbank_num`, with `vbank_date` as its due date, `vbank_code` `CVS` and `vbank_name` `편의점`
(docs/reference/compatibility.md).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from naru.domain.channel import choose_channel
from naru.domain.errors import NoSuchPayment
from naru.domain.merchant import origin_of
from naru.payments.close_virtual_account import NotWaiting, close_virtual_account
from naru.payments.issue_barcode import PAY_METHOD, issue_barcode
from naru.rest import messages
from naru.rest.annotations import PaymentAnnotation
from naru.rest.coerce import Seconds, Text, malformed
from naru.rest.envelope import Answer, HttpRefusal, success
from naru.rest.opening import Order, annotated, merchant_and_channels, read_order
from naru.rest.operation import Call, Operation
from naru.rest.vbanks import closed, recall_issue

_BARCODE = re.compile(r"[0-9]{6,30}")


class IssueBarcode(Order, kw_only=True):
    """What `POST /cvs` takes. The channel is named by `channel_key`, else by `pg`, else it is the default one."""

    channel_key: Annotated[str, Text(100)] | None = None
    pg: Annotated[str, Text(80)] | None = None
    barcode: Annotated[str, Text(30)] | None = None
    expired_at: Annotated[int, Seconds()] | None = None
    confirm_url: Annotated[str, Text(2_000)] | None = None


class RevokeBarcode(msgspec.Struct):
    """What `DELETE /cvs/{imp_uid}` takes."""

    imp_uid: Annotated[str, Text()]


async def issue(call: Call, request: IssueBarcode) -> Answer:
    """Issue or register a barcode; the payment is `ready` until a till took the money.

    The buyer shows `vbank_num` at the till of a convenience store and pays exactly `amount`, once, until `vbank_date`;
    the payment becomes `paid` with its webhook. A `barcode` of your own has 6 to 30 digits and was never
    used before; without one the PG makes it. `expired_at` is in seconds and ahead; without it the PG decides (the
    sandbox: seven days). With a `confirm_url` the till asks there first.
    """
    if request.barcode is not None and not _BARCODE.fullmatch(request.barcode):
        raise malformed("barcode")
    if request.confirm_url is not None and origin_of(request.confirm_url) is None:
        raise malformed("confirm_url")
    merchant, channels = await merchant_and_channels(call)
    channel = choose_channel(channels, channel_key=request.channel_key, pg=request.pg)
    opening = replace(
        read_order(call, request, merchant, channel, PAY_METHOD),
        confirm_url=request.confirm_url,
        announced_binds=False,
    )
    due = None if request.expired_at is None else datetime.fromtimestamp(request.expired_at, UTC)
    payment = await issue_barcode(
        call.gateway, opening, barcode=request.barcode, due=due, once=call.once
    )
    return success(annotated(call, payment))


async def revoke(call: Call, request: RevokeBarcode) -> Answer:
    """Revoke a barcode that waits; the payment becomes `failed`. 404 unknown, 400 for one that does not wait."""
    try:
        payment = await close_virtual_account(
            call.gateway, call.merchant_id, request.imp_uid, call.once, barcode=True
        )
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    except NotWaiting:
        raise HttpRefusal(400, messages.NOT_A_WAITING_BARCODE) from None
    return success(annotated(call, payment))


async def recall_revoke(call: Call, request: RevokeBarcode, number: str) -> Answer:
    """What became of the closing with this number."""
    try:
        return await closed(call, number, messages.PG_REFUSED_REVOKING)
    except NotWaiting:
        raise HttpRefusal(400, messages.NOT_A_WAITING_BARCODE) from None


OPERATIONS = (
    Operation(
        "POST",
        "/cvs",
        IssueBarcode,
        "편의점 수납번호 발급",
        "cvs",
        issue,
        recall=recall_issue,
        answer=PaymentAnnotation,
        english="Issue or register a barcode that is paid at a convenience store.",
    ),
    Operation(
        "DELETE",
        "/cvs/{imp_uid}",
        RevokeBarcode,
        "편의점 수납번호 말소",
        "cvs",
        revoke,
        recall=recall_revoke,
        answer=PaymentAnnotation,
        english="Revoke a barcode that waits.",
    ),
)
