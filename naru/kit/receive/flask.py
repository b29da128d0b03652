"""Mount the receivers in Flask: `app.register_blueprint(blueprint(till))`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from flask import Blueprint, Response, request

from naru.kit.finalise import Finaliser
from naru.kit.receive import READ_BYTES_MAX, Answer, Incoming, Landing, Receiver


def blueprint(
    till: Finaliser[Any],
    *,
    secret: str | None = None,
    sources: Collection[str] | None = None,
    landing: str | Landing = "/orders/{merchant_uid}",
    prefix: str = "/payments",
) -> Blueprint:
    """POST and GET `/payments/complete` (callback and redirect), POST `/payments/webhook`.

    The other arguments are those of `Receiver`.
    """
    receiver = Receiver(till, secret=secret, sources=sources, landing=landing)
    pages = Blueprint("naru_payments", __name__, url_prefix=prefix)
    for rule, name, method, receive in (
        ("/complete", "complete", "POST", receiver.complete),
        ("/complete", "redirect", "GET", receiver.redirect),
        ("/webhook", "webhook", "POST", receiver.webhook),
    ):
        pages.add_url_rule(
            rule, name, _view(receive), methods=[method], provide_automatic_options=False
        )
    return pages


def _view(receive: Callable[[Incoming], Answer]) -> Callable[[], Response]:
    def view() -> Response:
        answer = receive(
            Incoming(
                method=request.method,
                headers=dict(request.headers),
                # Never much more than a body may have; Werkzeug keeps to Content-Length by itself.
                body=request.stream.read(READ_BYTES_MAX),
                query=request.query_string.decode("ascii", "replace"),
                remote=request.remote_addr,
            )
        )
        return Response(answer.body, answer.status, dict(answer.headers))

    return view
