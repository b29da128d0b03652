"""The body of a webhook, byte for byte as i'mport sends it (protocol: webhook.md §2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Payload:
    """The exact bytes that are posted and signed, and their exact Content-Type."""

    content_type: str
    body: bytes


def write_payload(
    *,
    imp_uid: str,
    merchant_uid: str,
    status: str,
    cancellation_id: str | None = None,
    format: str = "json",  # noqa: A002 - the merchant's setting has this name
) -> Payload:
    """The four facts of a webhook: never an amount, so that nobody trusts it from here.

    `format` is `json` or `form`; `cancellation_id` is a key on cancellations only.
    """
    facts = {"imp_uid": imp_uid, "merchant_uid": merchant_uid, "status": status}
    if cancellation_id is not None:
        facts["cancellation_id"] = cancellation_id
    if format == "form":
        return Payload("application/x-www-form-urlencoded", urlencode(facts).encode())
    # No charset after the type: WooCommerce's plug-in compares the header as a whole.
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return Payload("application/json", text.encode())
