"""How the sandbox PG and its members prove who speaks (docs/reference/sandbox-wire.md)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

TIMESTAMP_SLACK_SECONDS = 300


def _hex(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def sign_request(secret: str, timestamp: int, method: str, path: str, body: bytes) -> str:
    """Sign a member's request; `path` is the raw path with its query."""
    return _hex(secret, f"{timestamp}.{method}.{path}.".encode() + body)


def sign_answer(secret: str, timestamp: int, body: bytes) -> str:
    """Sign an answer of the PG, or one of its notices."""
    return _hex(secret, f"{timestamp}.".encode() + body)


RETURN_FIELDS = (
    "mid",
    "order_no",
    "status",
    "auth_token",
    "amount",
    "currency",
    "pay_method",
    "code",
    "message",
    "expires_at",
)


def sign_return(secret: str, fields: Mapping[str, str]) -> str:
    """Sign the form that the buyer's browser carries back; fields hold no line breaks."""
    return _hex(secret, "\n".join(["return", *(fields[name] for name in RETURN_FIELDS)]).encode())


def equal(one: str, other: str) -> bool:
    """Compare two proofs in constant time; `other` may be anything a stranger sent."""
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))
