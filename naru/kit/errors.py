"""
KitError                everything the kit may raise about the world outside
 ├─ Unavailable         no usable answer this time; ask again later (HTTP 429 and 5xx are this one)
 │   ├─ ConnectionFailed    nobody was reached, or the line broke
 │   ├─ TimedOut            no answer, or not all of it, in time
 │   ├─ MalformedAnswer     an answer that is not i'mport's: HTML, half of a JSON, another payment
 │   └─ OutcomeUnknown      the gateway asked the PG and has no answer yet: it may have happened
 ├─ Denied              the gateway understood and said no
 │   ├─ Unauthorized        the key, the secret or the token is not accepted
 │   ├─ NotFound            no such payment, order or prepared amount (HTTP 404)
 │   └─ Refused             any other no, with the gateway's own code and sentence
 └─ BadWebhook          what reached the merchant's own endpoint is not a webhook or report

A wrong argument (a float for money, an empty imp_uid) is the caller's mistake and raises
ValueError or TypeError before anything is sent.
"""

from __future__ import annotations


class KitError(Exception):
    """The root: `except KitError` is enough for a shop that only wants to try again later."""


class Unavailable(KitError):
    """No usable answer.

    `may_have_happened` is True when the request left this process and was not a mere question:
    the gateway may have done it. Look at the payment before sending such a request again.
    """

    def __init__(self, message: str, *, may_have_happened: bool = False) -> None:
        super().__init__(message)
        self.may_have_happened = may_have_happened


class ConnectionFailed(Unavailable):
    """Nobody was reached, or the line broke before the whole answer came."""


class TimedOut(Unavailable):
    """The answer, or a part of it, did not come in time."""


class MalformedAnswer(Unavailable):
    """Something answered, but not in i'mport's words, or not about what was asked."""


class OutcomeUnknown(Unavailable):
    """The gateway does not know yet whether it happened, and finds out by itself.

    Look at the payment after a while; never send the request again for another order number, and
    never tell the buyer to. A gateway that is not Naru says this as a `Refused`, by its sentence alone.
    """


class Denied(KitError):
    """The gateway said no. `code` and `message` are its own; `http_status` is the answer's."""

    def __init__(self, code: int, message: str, *, http_status: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status


class Unauthorized(Denied):
    """HTTP 401: wrong key or secret, or a fresh token that is not accepted either."""


class NotFound(Denied):
    """HTTP 404: the gateway knows no such thing, or it belongs to another merchant."""


class Refused(Denied):
    """A business refusal, usually HTTP 200 with a code that is not 0.

    i'mport answers a PG's silence in the same shape: there, look at the payment before asking for
    its money again.
    """


class BadWebhook(KitError):
    """Not a webhook or report we could believe: shape, encoding, size, signature or sender.

    `http_status` is what to answer: 400 for a shape, 401 for a signature, 403 for an address, 405
    for a method, 413 for a size, 415 for a content type.
    """

    def __init__(self, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.http_status = http_status
