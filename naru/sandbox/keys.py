"""Billing keys in the ledger: which means a member may charge by which number.

The key itself is derived from the number, so that nothing which charges money lies in the ledger.
A forgotten number makes no key any more, even one whose question is still on its way.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any

import msgspec

from naru.sandbox import cards, magic
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import Means
from naru.sandbox.vault import Vault

_read_means = msgspec.json.Decoder(Means).decode


def key_of(vault: Vault, mid: str, key_no: str) -> str:
    """The key of this number. Who knows the number alone cannot make it."""
    digest = vault.mac("billing key", mid, key_no)
    return f"sbk.{key_no}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def find(book: Book, mid: str, key_no: str) -> Row | None:
    return book.one("SELECT * FROM billing_keys WHERE mid = ? AND key_no = ?", mid, key_no)


def means_behind(book: Book, vault: Vault, mid: str, key: str) -> Means | None:
    """What this key of this member charges; None when it charges nothing (any more)."""
    key_no = key.split(".")[1] if key.count(".") == 2 else ""
    if not hmac.compare_digest(key_of(vault, mid, key_no).encode(), key.encode()):
        return None
    row = find(book, mid, key_no)
    return None if row is None or row["state"] != "issued" else means_of(row)


def means_of(row: Row) -> Means:
    """The means of an issued key."""
    return _read_means(row["means"])


def scenario_of(means: Means) -> str | None:
    """What charging this card causes."""
    card = cards.CARD_BY_ID.get(means.card_id or "")
    return None if card is None else card.scenario


# Deeds


def keep(book: Book, mid: str, key_no: str, content: str, means: Means, now: int) -> None:
    """These means can be charged by the key of this number."""
    book.do(
        "INSERT INTO billing_keys (mid, key_no, content, state, means, code, message, at)"
        " VALUES (?, ?, ?, 'issued', ?, '', '', ?)",
        *(mid, key_no, content, msgspec.json.encode(means).decode(), now),
    )


def decline(
    book: Book, mid: str, key_no: str, content: str, words: tuple[str, str], now: int
) -> None:
    """There is no key of this number."""
    book.do(
        "INSERT INTO billing_keys (mid, key_no, content, state, code, message, at)"
        " VALUES (?, ?, ?, 'declined', ?, ?, ?)",
        *(mid, key_no, content, *words, now),
    )


def forget(book: Book, mid: str, key_no: str, now: int) -> None:
    """No key of this number charges anything, now or later."""
    words = magic.FORGOTTEN_KEY
    book.do(
        "INSERT INTO billing_keys (mid, key_no, content, state, code, message, at)"
        " VALUES (?, ?, '', 'forgotten', ?, ?, ?)"
        " ON CONFLICT (mid, key_no) DO UPDATE SET state = 'forgotten', means = NULL,"
        " code = excluded.code, message = excluded.message",
        *(mid, key_no, *words, now),
    )


def told(vault: Vault, mid: str, key_no: str, means: Means) -> dict[str, Any]:
    """What a member is told of an issued key."""
    return {
        "key_no": key_no,
        "billing_key": key_of(vault, mid, key_no),
        "card": {
            "issuer_code": means.issuer_code,
            "issuer_name": means.issuer_name,
            "number": means.masked,
            "installment_months": 0,
            "type": int(means.debit),
        }
        if means.issuer_code
        else None,
    }
