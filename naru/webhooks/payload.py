"""The body of a webhook, byte for byte as i'mport sends it (protocol: webhook.md §2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Payload:
    """The exact bytes that are posted and signed, and their exact Content-Type."""

    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """What a webhook tells beside the payment's status."""

    name: str
    extra: Mapping[str, str | int]


def write_payload(
    *,
    imp_uid: str,
    merchant_uid: str,
    status: str,
    cancellation_id: str | None = None,
    event: Event | None = None,
    format: str = "json",  # noqa: A002 - the merchant's setting has this name
) -> Payload:
    """The four facts of a webhook: never an amount, so that nobody trusts it from here.

    `format` is `json` or `form`; `cancellation_id` is a key on cancellations only. An event (webhook
    facts §3) stands around the three others; in a form its particulars are `extra[name]`.
    """
    facts: dict[str, Any] = {"imp_uid": imp_uid, "merchant_uid": merchant_uid, "status": status}
    if cancellation_id is not None:
        facts["cancellation_id"] = cancellation_id
    if event is not None:
        facts = {"event": event.name, **facts, "extra": dict(event.extra)}
    if format == "form":
        extra = {f"extra[{name}]": value for name, value in facts.pop("extra", {}).items()}
        return Payload("application/x-www-form-urlencoded", urlencode(facts | extra).encode())
    # No charset after the type: WooCommerce's plug-in compares the header as a whole.
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return Payload("application/json", text.encode())
