"""Sending text messages. The shop knows a `Sender`; which one is a matter of its settings."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

log = logging.getLogger(__name__)


class Sender(Protocol):
    """Raises SendFailed when the message certainly or probably did not leave."""

    def send(self, receiver: str, text: str) -> None: ...


class SendFailed(Exception):
    """The message did not leave. The sentence holds neither the number nor the text."""


class Inbox:
    """The demo's sender: keeps what was sent, so that a test or a page can look."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    def send(self, receiver: str, text: str) -> None:
        with self._lock:
            self.sent.append((receiver, text))


class Solapi:
    """Sends through Solapi with its own library (extra `naru[solapi]`), imported on first use."""

    def __init__(
        self, api_key: str, api_secret: str, from_number: str, base_url: str | None = None
    ) -> None:
        self._credentials = api_key, api_secret
        self._from_number = from_number
        self._base_url = base_url

    def send(self, receiver: str, text: str) -> None:
        import pydantic  # a part of Solapi's library
        from solapi import SolapiMessageService
        from solapi.model import RequestMessage

        service = SolapiMessageService(*self._credentials)
        if self._base_url is not None:
            service.base_url = self._base_url
        message = RequestMessage(from_=_digits(self._from_number), to=_digits(receiver), text=text)
        try:
            service.send(message)
        except pydantic.ValidationError:
            # Solapi took the message; only its answer is new to the library. Not sent again.
            log.warning("Solapi answered in a shape that its library does not know")
        except Exception as error:
            # The library has no root of its own errors and passes those of its HTTP client.
            raise SendFailed(f"Solapi: {type(error).__name__}") from error


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))
