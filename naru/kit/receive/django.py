"""Mount the receivers in Django: `urlpatterns = [..., path("payments/", include(urls(till)))]`.

A redirect, a callback and a webhook come from elsewhere, so there is no CSRF token in them; they
are outside of ATOMIC_REQUESTS, because no transaction may be open while the gateway is asked.
"""

# Django brings no types of its own.
# mypy: disable-error-code="import-untyped"

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from naru.kit.errors import BadWebhook
from naru.kit.finalise import Finaliser
from naru.kit.receive import READ_BYTES_MAX, Answer, Incoming, Landing, Receiver, refused


def urls(
    till: Finaliser[Any],
    *,
    secret: str | None = None,
    sources: Collection[str] | None = None,
    landing: str | Landing = "/orders/{merchant_uid}",
) -> list[Any]:
    """POST and GET `complete` (callback and redirect), POST `webhook`. Arguments as `Receiver`."""
    receiver = Receiver(till, secret=secret, sources=sources, landing=landing)

    def complete(incoming: Incoming) -> Answer:
        return (
            receiver.redirect(incoming) if incoming.method == "GET" else receiver.complete(incoming)
        )

    return [
        path("complete", _view(complete), name="naru-complete"),
        path("webhook", _view(receiver.webhook), name="naru-webhook"),
    ]


def _view(receive: Callable[[Incoming], Answer]) -> Callable[[Any], Any]:
    def view(request: HttpRequest) -> HttpResponse:
        try:
            # The raw body, but never much more than one may have.
            body = request.read(READ_BYTES_MAX)
        except UnreadablePostError:
            answer = refused(BadWebhook("the body broke off"))
        else:
            answer = receive(
                Incoming(
                    method=request.method,
                    headers=request.headers,
                    body=body,
                    query=request.META.get("QUERY_STRING", ""),
                    remote=request.META.get("REMOTE_ADDR"),
                )
            )
        return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))

    exempt: Callable[[Any], Any] = transaction.non_atomic_requests(csrf_exempt(view))
    return exempt
