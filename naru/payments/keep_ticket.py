"""Keep what proves the buyer, sealed, for PGs of which an approval can only be asked for again.

The blob is worth nothing without the root key, is bound to its payment, dies with the proof itself
(minutes) and is deleted as soon as the question is answered.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from naru.domain.outcome import Ticket
from naru.domain.payment import Payment
from naru.payments.gateway import Gateway
from naru.store.intents import Intent


async def keep_ticket(gateway: Gateway, payment: Payment, token: str, dies_at: float) -> None:
    """Keep `token` with this payment's open question until `dies_at` (unix seconds).

    Before the PG is asked: a process that dies then leaves the worker something to ask with.
    """
    sealed = _cipher(gateway, payment).encrypt(token.encode(), None)
    async with gateway.store.direct() as session:
        await session.intents.keep_ticket(
            payment.imp_uid, sealed, datetime.fromtimestamp(dies_at, UTC)
        )


async def kept_ticket(gateway: Gateway, payment: Payment, intent: Intent) -> Ticket | None:
    """The ticket as it was first sent; None when none is kept, or it died."""
    async with gateway.store.direct() as session:
        sealed = await session.intents.kept_ticket(intent.id, gateway.now())
    if sealed is None:
        return None
    try:
        token = _cipher(gateway, payment).decrypt(sealed, None).decode()
    except InvalidTag:
        return None  # the root key was changed since, or the blob belongs elsewhere
    return Ticket(payment.pg_order_no, payment.amount, token)


def _cipher(gateway: Gateway, payment: Payment) -> AESSIV:
    """A key of this payment's own. SIV (RFC 5297) needs no nonce, so none can be used twice."""
    name = f"naru kept ticket 2\0{payment.imp_uid}\0{payment.pg_order_no}".encode()
    return AESSIV(HKDF(SHA256(), 64, None, name).derive(gateway.root_key))
