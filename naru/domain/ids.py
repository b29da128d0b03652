"""Names of things, and how new ones are made.

Money code takes its ids from the hands it is given (`Gateway.ids`), never from `secrets` itself, so
that a simulation can decide them.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from typing import NewType, Protocol

ImpUid = NewType("ImpUid", str)
MerchantUid = NewType("MerchantUid", str)
ChannelKey = NewType("ChannelKey", str)

CUSTOMER_UID_CHARACTERS_MAX = 80
_MERCHANT_UID = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,40}")


def is_merchant_uid(text: str) -> bool:
    """An order number: 1-40 characters, none of them a control character or a line separator (compared byte by byte)."""
    return _MERCHANT_UID.fullmatch(text) is not None


# Letters by their class, and nothing to see: Hangul and Khmer fillers, the blank of Braille.
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")


def is_customer_uid(text: str) -> bool:
    """A customer's name: 1-80 characters that can be seen, and blanks between them only.

    It names a card that is charged without its holder, so two that look alike must be the same.
    """
    return (
        0 < len(text) <= CUSTOMER_UID_CHARACTERS_MAX
        and text.isprintable()
        and text == text.strip()
        and _FILLERS.isdisjoint(text)
        # Marks alone (accents, variation selectors) are drawn on a letter, and there is none.
        and not unicodedata.category(text[0]).startswith("M")
    )


def hash_secret(secret: str) -> bytes:
    """What is stored of a random secret of 128 bits and more: its SHA-256.

    A slow hash protects guessable secrets; these are not guessable.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Ids(Protocol):
    """Where new names come from."""

    def imp_uid(self) -> ImpUid:
        """`imp_` and 12 digits, as i'mport's browser payments (rest.md §1.2)."""

    def api_imp_uid(self) -> ImpUid:
        """`imps_` and 12 digits, as i'mport's API payments."""

    def pg_order_no(self) -> str:
        """A number for one try at the PG: `[a-z0-9]`, unique per attempt (big-four.md §4.2)."""

    def cancel_no(self) -> str:
        """A number for one cancellation at the PG; also i'mport's `cancellation_id`."""

    def secret(self) -> str:
        """160 random bits in hex: a window's token, a webhook id."""


class RandomIds:
    """Ids from the operating system's randomness."""

    def imp_uid(self) -> ImpUid:
        return ImpUid(f"imp_{secrets.randbelow(10**12):012d}")

    def api_imp_uid(self) -> ImpUid:
        return ImpUid(f"imps_{secrets.randbelow(10**12):012d}")

    def pg_order_no(self) -> str:
        return f"n{secrets.token_hex(12)}"

    def cancel_no(self) -> str:
        return f"c{secrets.token_hex(12)}"

    def secret(self) -> str:
        return secrets.token_hex(20)
