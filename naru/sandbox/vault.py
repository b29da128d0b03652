"""The PG's own secrets: the pepper of every keyed hash, and the authentication tokens.

The pepper is made at the first start and kept in the ledger, so a restart changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass

import argon2

from naru.sandbox.cards import CARDS, MPI_PASSWORD, SIMPLE_PIN
from naru.sandbox.ledger import Book
from naru.sandbox.orders import Order

# OWASP's smallest recommended argon2id setting: a guess costs 19 MiB and some 20 ms.
PIN_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@dataclass(frozen=True, slots=True)
class Vault:
    """The pepper and what is made with it."""

    pepper: bytes

    def mac(self, *words: str) -> bytes:
        """A keyed hash of a few words; the same words always give the same 32 bytes."""
        message = "".join(f"{len(word)}:{word};" for word in words)
        return hmac.new(self.pepper, message.encode(), hashlib.sha256).digest()

    def number_mac(self, number: str) -> bytes:
        return self.mac("card number", number)

    def card_secret_mac(self, number: str, expiry: str, cvc: str, password: str) -> bytes:
        return self.mac("card secret", number, expiry, cvc, password)

    def auth_token(self, order: Order) -> str:
        """The token of an authenticated order. It is derived, so nothing secret is stored."""
        digest = self.mac(
            "auth token", order.mid, order.order_no, order.window_id, str(order.authenticated_at)
        )
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def open_vault(book: Book) -> Vault:
    """Deed: read the pepper, or make it and register the test cards under it."""
    pepper = book.secret("pepper")
    if pepper is None:
        pepper = secrets.token_bytes(32)
        book.keep_secret("pepper", pepper)
    vault = Vault(pepper)
    for card in CARDS:
        if book.card(card.id) is None:
            book.add_card(
                card.id,
                vault.number_mac(card.number),
                vault.card_secret_mac(card.number, card.expiry, card.cvc, MPI_PASSWORD),
                PIN_HASHER.hash(SIMPLE_PIN) if card.auth == "simple" else None,
            )
    return vault
