"""Reading what reaches the merchant's own endpoints: webhooks, and the browser's report.

Both are hints: they say which payment to ask the gateway about and prove nothing, not even when
signed. Sources: V1's webhook body (JSON or form, by a console setting) and the requirement's own
jQuery sample, which sends a form under a JSON header; so the first byte decides, not the header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from naru.kit.errors import BadWebhook

BODY_BYTES_MAX = 64 * 1024
_IMP_UID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_CONTENT_TYPES = ("", "application/json", "application/x-www-form-urlencoded", "text/plain")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A tip from the gateway. `cancellation_id` comes with cancels only."""

    imp_uid: str
    merchant_uid: str
    status: str
    cancellation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a browser says after the payment window. `merchant_uid` is its claim, or None."""

    imp_uid: str
    merchant_uid: str | None


def read_webhook(
    body: bytes,
    headers: Mapping[str, str],
    content_type: str | None = None,
    secret: str | None = None,
) -> Webhook:
    """Read a webhook, after checking its signature when a secret is given.

    `body` is the raw body, before any parsing. `content_type` defaults to the one in `headers`.
    `secret` is the endpoint's `whsec_…` of the gateway; i'mport itself signs nothing, so leave it
    out there. With a secret, a missing, wrong or older than 5 minutes signature is refused.
    Raises BadWebhook for anything that is not a webhook, ValueError when the secret is no secret.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if secret is not None:
        _check_signature(body, lower, secret)
    fields = _read_fields(body, lower.get("content-type") if content_type is None else content_type)
    return Webhook(
        imp_uid=_imp_uid(fields),
        merchant_uid=_needed(fields, "merchant_uid", 200),
        status=_needed(fields, "status", 20),
        cancellation_id=_optional(fields, "cancellation_id", 100),
    )


def read_report(body: bytes, content_type: str | None = None) -> Report:
    """Read what a page posts to `/payments/complete`: JSON, a form, or a form that claims to be
    JSON. Raises BadWebhook."""
    fields = _read_fields(body, content_type)
    return Report(_imp_uid(fields), _optional(fields, "merchant_uid", 200))


def read_redirect(query: str) -> tuple[str | None, str | None]:
    """The imp_uid and the claimed merchant_uid in the query of `m_redirect_url`.

    A window that never opened has no imp_uid to tell. What else is there may be the shop's own and
    is not looked at. Raises BadWebhook.
    """
    if len(query) > BODY_BYTES_MAX:
        raise BadWebhook("the query is too long", 414)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise BadWebhook("the query cannot be read") from None
    fields = _once([pair for pair in pairs if pair[0] in ("imp_uid", "merchant_uid")])
    imp_uid = _imp_uid(fields) if fields.get("imp_uid") else None
    return imp_uid, _optional(fields, "merchant_uid", 200)


def _check_signature(body: bytes, headers: Mapping[str, str], secret: str) -> None:
    # Imported here: whoever uses no signature does not pay for it.
    import standardwebhooks

    try:
        checker = standardwebhooks.Webhook(secret)
    except Exception as error:
        raise ValueError("the webhook secret is not one (whsec_ and base64)") from error
    try:
        checker.verify(body, dict(headers), json_parse=False)
    except (standardwebhooks.WebhookVerificationError, ValueError) as error:
        # The library lets bare ValueErrors through: bad base64, a signature without a comma,
        # a body that is not UTF-8.
        raise BadWebhook("the signature does not fit", 401) from error


def _read_fields(body: bytes, content_type: str | None) -> dict[str, Any]:
    if len(body) > BODY_BYTES_MAX:
        raise BadWebhook("the body is too long", 413)
    if (content_type or "").partition(";")[0].strip().lower() not in _CONTENT_TYPES:
        raise BadWebhook("the content type is neither JSON nor a form", 415)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadWebhook("the body is not UTF-8") from None
    if text.lstrip()[:1] in ("{", "["):
        return _read_json(text)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise BadWebhook("the body is neither JSON nor a form") from None
    return _once(pairs)


def _read_json(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise BadWebhook("the body is not JSON") from None
    if not isinstance(document, dict):
        raise BadWebhook("the body is not a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A key that comes twice means two readers may see two different payments.
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise BadWebhook("a key comes twice")
    return fields


def _imp_uid(fields: Mapping[str, Any]) -> str:
    value = _needed(fields, "imp_uid", 32)
    if not _IMP_UID.fullmatch(value):
        raise BadWebhook("imp_uid is not an imp_uid")
    return value


def _needed(fields: Mapping[str, Any], key: str, length_max: int) -> str:
    value = _optional(fields, key, length_max)
    if value is None:
        raise BadWebhook(f"{key} is missing")
    return value


def _optional(fields: Mapping[str, Any], key: str, length_max: int) -> str | None:
    value = fields.get(key)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadWebhook(f"{key} is not text")
    if len(value) > length_max or _CONTROL.search(value) or not _is_unicode(value):
        raise BadWebhook(f"{key} is too long or holds what no name holds")
    return value


def _is_unicode(value: str) -> bool:
    # JSON may spell half of a surrogate pair, which no database and no file can keep.
    return not any("\ud800" <= character <= "\udfff" for character in value)
