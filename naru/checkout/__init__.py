"""The door of the buyer's browser: the SDK, the window of a payment or a certification, its result."""

from __future__ import annotations

from starlette.routing import Route

from naru.checkout import certifications, pg_pages
from naru.checkout.routes import USUAL_PACE, Pace
from naru.checkout.routes import routes as payment_routes
from naru.payments.gateway import Gateway


def routes(gateway: Gateway, pace: Pace = USUAL_PACE) -> list[Route]:
    """Every address of this door."""
    return [
        *payment_routes(gateway, pace),
        *certifications.routes(gateway, pace),
        *pg_pages.routes(gateway, pace),
    ]


__all__ = ["routes"]
