"""Renders the door's own pages, each behind headers as strict as it can bear. No cookie is ever set."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from markupsafe import Markup
from starlette.responses import HTMLResponse

from naru.checkout.words import words_of
from naru.domain.deadline import KST
from naru.domain.merchant import NULL_ORIGIN
from naru.domain.payment import Payment
from naru.domain.pg_profile import Mode
from naru.payments.start import frame_ancestors

_HERE = Path(__file__).parent
_WEEKDAYS = {
    "ko": "월화수목금토일",
    "zh": "一二三四五六日",
    "ja": "月火水木金土日",
}
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader([_HERE / "templates", _HERE / "static"]),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

NO_STORE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
PAGES_ONLY = {
    # No other site may load a page of ours as a picture or a script; framing is the CSP's matter.
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), usb=()",
}


def page(
    template: str,
    *,
    language: str = "ko",
    payment: Payment | None = None,
    form_action: str = "'none'",
    status: int = 200,
    popup: bool = False,
    ribbon: str | None = None,
    **values: Any,
) -> HTMLResponse:
    """One page. With a payment it may be framed by the page that opened it, and only as a layer.

    `form_action` is the CSP source that this page's form may be posted to. `popup`: it may stand in a
    popup that somebody waits for. `ribbon` names the words that say that all this is a test.
    """
    nonce = secrets.token_urlsafe(16)
    html = _templates.get_template(template).render(
        language=language,
        words=words_of(language),
        nonce=nonce,
        payment=payment,
        ribbon=ribbon or ("test" if payment is not None and payment.sandbox else None),
        script_data=_script_data,
        **values,
    )
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        f"connect-src 'self'; base-uri 'none'; form-action {form_action}"
    )
    headers = NO_STORE | PAGES_ONLY
    ancestors = () if payment is None else frame_ancestors(payment)
    if not ancestors:
        policy += "; frame-ancestors 'none'"
        headers["X-Frame-Options"] = "DENY"
    elif NULL_ORIGIN not in ancestors:
        policy += f"; frame-ancestors {' '.join(ancestors)}"
    # A page without an origin (a WebView's local file) cannot be named in frame-ancestors; the
    # merchant allowed such pages on purpose.
    headers["Content-Security-Policy"] = policy
    popup = popup or (payment is not None and payment.window_mode == Mode.POPUP)
    if not popup:
        # In a popup this header would cut us off from the page that waits for our message; in a
        # frame it says nothing, and guards the layer's page when somebody opens it by itself.
        headers["Cross-Origin-Opener-Policy"] = "same-origin-allow-popups"
    return HTMLResponse(html, status, headers)


def csp_source(url: str) -> str:
    """The CSP source of an address: its origin."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def due_text(due: datetime, language: str) -> str:
    """A deadline for people: date, weekday, time and the zone it is meant in."""
    local = due.astimezone(KST)
    days = _WEEKDAYS.get(language)
    weekday = days[local.weekday()] if days else local.strftime("%a")
    return f"{local:%Y-%m-%d} ({weekday}) {local:%H:%M} KST"


def _script_data(value: Any) -> Markup:
    """JSON inside a <script>: nothing in it can end the script."""
    text = json.dumps(value, ensure_ascii=True)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704  # only ASCII without <, > and & is left
