"""The door of the buyer's browser: the SDK file, the payment window, the way back from the PG."""

from naru.checkout.routes import routes

__all__ = ["routes"]
