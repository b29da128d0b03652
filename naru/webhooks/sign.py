"""Proof that a webhook is ours: the three headers of Standard Webhooks 1.0, beside the V1 body."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook


def signature_headers(
    secrets: Sequence[str], webhook_id: str, body: bytes, now: datetime
) -> dict[str, str]:
    """`webhook-id`, `webhook-timestamp` and, with a secret, `webhook-signature` over these bytes.

    The id stays the same on every attempt, the time is the attempt's own (an old one would be
    refused after five minutes). While a merchant changes secrets both sign, old and new.
    `secrets` are `whsec_<base64>`; raises ValueError for one that is not.
    """
    # The library reads an aware time as if its clock face showed UTC: hand it UTC, whole seconds.
    attempted_at = now.astimezone(UTC).replace(microsecond=0)
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(attempted_at.timestamp())),
    }
    if secrets:
        text = body.decode("utf-8")
        headers["webhook-signature"] = " ".join(
            Webhook(secret).sign(webhook_id, attempted_at, text) for secret in secrets
        )
    return headers


def read_secrets(setting: str | None) -> tuple[str, ...]:
    """A merchant's secrets as they are kept: none, one, or several with spaces between, newest first."""
    return tuple((setting or "").split())
