"""Approve: the buyer proved who they are, now the money is taken.

Five things in a straight line: read the PG's proof, ask the merchant if it wants to be asked, claim
and commit, ask the PG with no transaction open, write the outcome down.
"""

from __future__ import annotations

from naru.domain.channel import Channel
from naru.domain.errors import AlreadyPaid, PgBusy, PreparedDiffers
from naru.domain.merchant import Merchant
from naru.domain.outcome import Abandoned, Authenticated, Outcome, Ticket, Unknown
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.abandon import abandon
from naru.payments.ask_merchant import Confirmed, ask_merchant
from naru.payments.claim import claim, moment, still_ours
from naru.payments.gateway import Gateway
from naru.payments.keep_ticket import keep_ticket
from naru.payments.recovery import needs_ticket
from naru.payments.settle import settle_approval


async def approve(gateway: Gateway, imp_uid: str, fields: dict[str, str]) -> Payment | None:
    """Take the money for what the browser brought back, once.

    Returns the payment as it stands (paid, waiting, failed, or still approving when the PG's answer
    is not known); None for an unknown id. A payment that somebody else claimed is returned as it is.
    Raises ForgedReturn when the fields are not the PG's word; then nothing has changed.
    """
    async with gateway.store.direct() as session:
        case = await session.payments.case(imp_uid)
    if case is None:
        return None
    payment, channel, merchant = case
    connector = gateway.connector_of(channel)

    # Also when there is nothing left to decide (Back, refresh): only who brings the PG's word may
    # see how this payment ended.
    reach("return.before_proof")
    back = connector.read_return(channel, payment, fields)
    reach("return.after_proof")
    if payment.step is not Step.OPENED:
        return payment
    if isinstance(back, Abandoned):
        return await abandon(gateway, imp_uid, back.code, back.message)
    try:
        return await _take(gateway, payment, channel, merchant, back)
    except PgBusy as busy:
        # The PG was not asked and the order is free: better than one more doubt.
        return await abandon(gateway, imp_uid, "F500", busy.sentence)


async def _take(
    gateway: Gateway, payment: Payment, channel: Channel, merchant: Merchant, back: Authenticated
) -> Payment | None:
    """Ask the merchant, then the PG. Raises PgBusy; then the PG was not asked, and nothing claimed."""
    imp_uid = payment.imp_uid
    # A merchant who is asked for nothing reserves goods for nothing.
    if not gateway.pg_load.has_room(channel.id):
        raise PgBusy
    # The merchant's own setting wins: the buyer's browser cannot switch the question off (P18).
    confirm_url = merchant.confirm_url or payment.confirm_url
    if confirm_url is not None:
        reach("confirm.before_ask")
        said = await ask_merchant(
            gateway.wire,
            confirm_url,
            payment.imp_uid,
            payment.merchant_uid,
            payment.amount,
        )
        reach("confirm.after_ask")
        if not isinstance(said, Confirmed):
            return await abandon(gateway, imp_uid, "CONFIRM_REFUSED", said.sentence)

    # A slow merchant holds no place at a PG that is well.
    with gateway.pg_load.asking(channel.id):
        return await _ask_pg(gateway, payment, channel, back)


async def _ask_pg(
    gateway: Gateway, payment: Payment, channel: Channel, back: Authenticated
) -> Payment | None:
    """Claim, ask, settle: when this PG may be asked one question more."""
    imp_uid, connector = payment.imp_uid, gateway.connector_of(channel)
    # The token is worth nothing without our signature, and dies within minutes.
    before = moment(gateway)
    dies_at = before.day.timestamp() + connector.auth_token_seconds
    try:
        claimed = await claim(gateway, payment, back.pay_method, {"token_dies_at": dies_at})
    except PreparedDiffers as differs:
        return await abandon(gateway, imp_uid, "F400", differs.sentence)
    except AlreadyPaid as paid:
        return await abandon(gateway, imp_uid, "F1002", paid.sentence)
    if claimed is None:
        async with gateway.store.direct() as session:
            return await session.payments.get(imp_uid)

    ticket = Ticket(claimed.pg_order_no, claimed.amount, back.token)
    if needs_ticket(connector):
        await keep_ticket(gateway, claimed, back.token, dies_at)
    outcome: Outcome
    if not await still_ours(gateway, "approve", claimed.pg_order_no, before):
        outcome = Unknown("the process slept before it asked")
    else:
        outcome = await connector.approve(channel, ticket)
        gateway.pg_load.heard(channel.id, outcome)
    reach("approve.after_pg")

    return await settle_approval(gateway, claimed, channel, outcome)
