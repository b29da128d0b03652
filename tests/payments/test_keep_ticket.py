"""What proves the buyer is kept sealed, for naru/payments/keep_ticket.py."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from naru.payments.claim import claim
from naru.payments.keep_ticket import _cipher, keep_ticket, kept_ticket
from tests.support.gateway import House

FIRST, SECOND = b"auth-0123456789abcdef", b"auth-fedcba9876543210"


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))


async def test_a_kept_ticket_comes_back_and_for_no_other_payment(house: House) -> None:
    payment = await house.open()
    claimed = await claim(house.gateway, payment, "card", {})
    assert claimed is not None
    dies_at = house.clock().timestamp() + 600
    await keep_ticket(house.gateway, claimed, FIRST.decode(), dies_at)
    async with house.gateway.store.direct() as session:
        intent = await session.intents.of_payment(payment.imp_uid)
        assert intent is not None
        sealed = await session.intents.kept_ticket(intent.id, house.clock())
    assert sealed is not None
    assert FIRST not in sealed
    ticket = await kept_ticket(house.gateway, claimed, intent)
    assert ticket is not None
    assert ticket.token == FIRST.decode()
    assert await kept_ticket(house.gateway, await house.open(), intent) is None
    other_house = replace(house.gateway, root_key=bytes(32))
    assert await kept_ticket(other_house, claimed, intent) is None
    house.clock.advance(seconds=601)
    assert await kept_ticket(house.gateway, claimed, intent) is None


async def test_two_tokens_under_one_key_tell_nothing_about_each_other(house: House) -> None:
    payment = await house.open()
    cipher = _cipher(house.gateway, payment)
    one, other = cipher.encrypt(FIRST, None)[16:], cipher.encrypt(SECOND, None)[16:]
    assert xor(one, other) != xor(FIRST, SECOND)
    # The control: a counter mode with the nonce used twice gives their difference away.
    counter = AESGCM(bytes(32))
    one, other = (counter.encrypt(bytes(12), each, None)[:-16] for each in (FIRST, SECOND))
    assert xor(one, other) == xor(FIRST, SECOND)
