"""The two clients: one conversation with the gateway, spoken by a blocking and an async voice.

`Conversation` knows what to say next (token, one refresh, safe repeats) and does no I/O; each
client only carries requests and pauses out. Works with i'mport itself and with any naru gateway.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from naru.kit.errors import (
    ConnectionFailed,
    MalformedAnswer,
    NotFound,
    OutcomeUnknown,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from naru.kit.operations import Call, Operations
from naru.kit.types import Facts

if TYPE_CHECKING:
    import aiohttp
    import urllib3

T = TypeVar("T")

IAMPORT_URL = "https://api.iamport.kr"
ATTEMPTS_MAX = 3
FIRST_PAUSE_SECONDS_MAX = 0.3
ANSWER_BYTES_MAX = 16 * 1024 * 1024
# i'mport gives a token that has less than 60 s left another 300 s, so asking then is enough.
TOKEN_MARGIN_SECONDS = 30


@dataclass(frozen=True)
class Request:
    """What a voice must send: `target` is path and query, escaped."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """What came back, whole. `in_doubt`: the gateway itself does not know yet what became of it."""

    status: int
    body: bytes
    in_doubt: bool = False


@dataclass(frozen=True)
class Pause:
    """The voice must wait this long before it goes on."""

    seconds: float


@dataclass(frozen=True)
class Token:
    """An access token and the monotonic second from which it is renewed."""

    value: str = field(repr=False)
    renew_at: float


Steps = Generator[Request | Pause, Answer | None, T]


class Patience:
    """How long one call may still take: `seconds` for each try, `within` for all of them."""

    def __init__(self, seconds: float, within: float | None) -> None:
        self._seconds = seconds
        self._give_up_at = None if within is None else time.monotonic() + within

    def for_try(self) -> float:
        """Seconds for the next try. Raises TimedOut when none are left; it was not sent then."""
        left = self._left()
        if left <= 0:
            raise TimedOut("no answer within the time that was given")
        return min(self._seconds, left)

    def for_pause(self, pause: Pause) -> float:
        """Seconds to wait: never longer than what is left."""
        return max(0.0, min(pause.seconds, self._left()))

    def _left(self) -> float:
        return inf if self._give_up_at is None else self._give_up_at - time.monotonic()


class Conversation:
    """What to say to the gateway, and what its answers mean. One token for the whole client.

    Threads may share it: two that renew at once get the same token, as i'mport gives every asker
    the same one until it expires, so no lock is needed.
    """

    def __init__(self, api_key: str, api_secret: str, tier: str | None = None) -> None:
        self._tier = tier
        self._credentials = {"imp_key": api_key, "imp_secret": api_secret}
        self._token: Token | None = None

    def about(self, call: Call[T]) -> Steps[T]:
        """Ask once, and once more with a new token when the cached one is refused."""
        was_cached = self._token is not None
        token = yield from self._fresh_token()
        answer = yield from self._exchange(call, token)
        if answer.status == 401 and was_cached:
            self._token = None
            token = yield from self._fresh_token()
            answer = yield from self._exchange(call, token)
        return _read(call, answer)

    def _fresh_token(self) -> Steps[Token]:
        if self._token is not None and time.monotonic() < self._token.renew_at:
            return self._token
        # Counted from before the question: the token is never believed to live too long, and
        # the server's own "expired_at - now" makes a wrong clock on this machine harmless.
        asked_at = time.monotonic()
        call = Call("POST", "/users/getToken", _read_token, fields=self._credentials, question=True)
        answer = yield from self._exchange(call, None)
        value, seconds = _read(call, answer)
        self._token = Token(value, asked_at + seconds - TOKEN_MARGIN_SECONDS)
        return self._token

    def _exchange(self, call: Call[Any], token: Token | None) -> Steps[Answer]:
        """Send; repeat only what cannot have done anything the first time."""
        request = _request(call, token, self._tier)
        attempt = 1
        while True:
            try:
                answer = yield request
                assert answer is not None
                if answer.status == 429 or answer.status >= 500:
                    raise Unavailable(
                        f"the gateway answered HTTP {answer.status}",
                        may_have_happened=answer.status != 429,
                    )
                return answer
            except Unavailable as trouble:
                trouble.may_have_happened = trouble.may_have_happened and not call.question
                if trouble.may_have_happened or attempt == ATTEMPTS_MAX:
                    raise
            # Full jitter, so that a shop's many workers do not come back all at once.
            yield Pause(random.uniform(0, FIRST_PAUSE_SECONDS_MAX * 2 ** (attempt - 1)))  # noqa: S311
            attempt += 1


class _Base(Operations):
    """What both clients are given.

    `base_url` is i'mport's unless you run your own gateway. `timeout_seconds` is for one whole
    try, `connect_timeout_seconds` for reaching the gateway; questions are tried three times.
    `tier`: an agency's client acts for this sub-merchant of its own.
    """

    def __init__(
        self,
        api_key: str,
        api_secret: str,
        *,
        base_url: str = IAMPORT_URL,
        timeout_seconds: float = 30.0,
        connect_timeout_seconds: float = 5.0,
        tier: str | None = None,
    ) -> None:
        if tier is not None and not re.fullmatch(r"[A-Z0-9]{3}", tier):
            raise ValueError("a tier is three capital letters or digits")
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("base_url must look like https://api.iamport.kr")
        if parts.username is not None:
            raise ValueError("base_url must not hold a user name or password")
        self._base_url = base_url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._connect_timeout_seconds = connect_timeout_seconds
        self._conversation = Conversation(api_key, api_secret, tier)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self._base_url!r})"


class Client(_Base):
    """The blocking client; threads may share one. Methods: see `naru.kit.operations`."""

    _pool: urllib3.PoolManager | None = None

    def send(self, call: Call[T], *, within: float | None = None) -> T:
        """Carry out one call, with all its tries `within` so many seconds when they are given.

        Raises the errors of naru/kit/errors.py and nothing else.
        """
        steps = self._conversation.about(call)
        patience = Patience(self._timeout_seconds, within)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    time.sleep(patience.for_pause(step))
                    step = next(steps)
                    continue
                try:
                    answer = self._carry(step, patience.for_try())
                except Unavailable as trouble:
                    step = steps.throw(trouble)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def _carry(self, request: Request, seconds: float) -> Answer:
        # Imported on first use: a process that only reads webhooks never pays for it.
        import urllib3

        if self._pool is None:
            self._pool = urllib3.PoolManager(maxsize=16)
        give_up_at = time.monotonic() + seconds
        try:
            response = self._pool.request(
                request.method,
                self._base_url + request.target,
                body=request.body,
                headers=request.headers,
                timeout=urllib3.Timeout(connect=self._connect_timeout_seconds, total=seconds),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                body = bytearray()
                while chunk := response.read1(65536):
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAX:
                        raise MalformedAnswer("the answer is too long", may_have_happened=True)
                    if time.monotonic() > give_up_at:
                        raise TimedOut("the answer came too slowly", may_have_happened=True)
            except BaseException:
                response.close()
                raise
            response.release_conn()
            return Answer(response.status, bytes(body), _in_doubt(response.headers))
        except (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.LocationValueError,
        ) as error:
            raise ConnectionFailed(f"{self._base_url} could not be reached") from error
        except urllib3.exceptions.ConnectTimeoutError as error:
            raise TimedOut(f"{self._base_url} could not be reached in time") from error
        except urllib3.exceptions.TimeoutError as error:
            raise TimedOut("no answer in time", may_have_happened=True) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ConnectionFailed("the line broke", may_have_happened=True) from error

    def close(self) -> None:
        """Close the kept connections; the client may still be used and opens new ones."""
        if self._pool is not None:
            self._pool.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(_Base):
    """The asyncio client, for one event loop: every method of `Client`, awaited.

    Needs the extra `naru[async]` (aiohttp). Use as `async with`, or `await close()` at the end.
    """

    _session: aiohttp.ClientSession | None = None

    async def send(self, call: Call[T], *, within: float | None = None) -> T:
        """Carry out one call, with all its tries `within` so many seconds when they are given.

        Raises the errors of naru/kit/errors.py and nothing else.
        """
        import asyncio  # 40 ms that a blocking shop need not spend

        steps = self._conversation.about(call)
        patience = Patience(self._timeout_seconds, within)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(patience.for_pause(step))
                    step = next(steps)
                    continue
                try:
                    answer = await self._carry(step, patience.for_try())
                except Unavailable as trouble:
                    step = steps.throw(trouble)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _carry(self, request: Request, seconds: float) -> Answer:
        import aiohttp
        from yarl import URL

        session = self._session or self._open_session()
        try:
            async with session.request(
                request.method,
                URL(self._base_url + request.target, encoded=True),
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(
                    total=seconds, sock_connect=self._connect_timeout_seconds
                ),
            ) as response:
                body = bytearray()
                async for chunk in response.content.iter_chunked(65536):
                    body += chunk
                    if len(body) > ANSWER_BYTES_MAX:
                        raise MalformedAnswer("the answer is too long", may_have_happened=True)
                return Answer(response.status, bytes(body), _in_doubt(response.headers))
        except aiohttp.ConnectionTimeoutError as error:
            raise TimedOut(f"{self._base_url} could not be reached in time") from error
        except TimeoutError as error:
            raise TimedOut("no answer in time", may_have_happened=True) from error
        except aiohttp.ClientConnectorError as error:
            raise ConnectionFailed(f"{self._base_url} could not be reached") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ConnectionFailed("the line broke", may_have_happened=True) from error

    def _open_session(self) -> aiohttp.ClientSession:
        import aiohttp

        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        # aiohttp would repeat a DELETE by itself on a broken kept connection; what may be
        # repeated is decided in Conversation and nowhere else.
        self._session._retry_connection = False
        return self._session

    async def close(self) -> None:
        """Close the kept connections; the client may still be used and opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _request(call: Call[Any], token: Token | None, tier: str | None = None) -> Request:
    headers = {"Accept": "application/json", "User-Agent": "naru-kit"}
    body = None
    if token is not None:
        headers["Authorization"] = token.value
        if tier is not None:
            headers["Tier"] = tier
    if call.fields is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(call.fields, ensure_ascii=True, default=_wire_number).encode()
    return Request(call.method, call.target, headers, body)


def _wire_number(value: object) -> int | float:
    # A JSON number. i'mport takes two decimals at most, which a float prints exactly.
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _in_doubt(headers: Mapping[str, str]) -> bool:
    # i'mport has no such header: there a doubt is a sentence, and looks like a refusal.
    return headers.get("naru-outcome") == "unknown"


def _read(call: Call[T], answer: Answer) -> T:
    try:
        return call.read(_open_envelope(answer))
    except MalformedAnswer as trouble:
        trouble.may_have_happened = not call.question
        raise


def _open_envelope(answer: Answer) -> Any:
    """The `response` of `{code, message, response}`, or the error that the envelope tells."""
    try:
        document = json.loads(
            answer.body.decode(), parse_float=Decimal, parse_constant=_no_constant
        )
    except (ValueError, ArithmeticError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise MalformedAnswer(f"HTTP {answer.status} without i'mport's envelope")
    code, message = document.get("code"), document.get("message")
    if isinstance(code, bool) or not isinstance(code, int):
        raise MalformedAnswer(f"HTTP {answer.status} without a code in the envelope")
    message = message if isinstance(message, str) else ""
    if answer.status == 401:
        raise Unauthorized(code, message, http_status=401)
    if answer.status == 404:
        raise NotFound(code, message, http_status=404)
    if answer.in_doubt:
        raise OutcomeUnknown(message, may_have_happened=True)
    if code != 0 or not 200 <= answer.status < 300:
        raise Refused(code, message, http_status=answer.status)
    return document.get("response")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _read_token(value: Any) -> tuple[str, int]:
    """The token and how many seconds it lives."""
    facts = Facts(value, "token")
    now, expired_at = facts.whole("now"), facts.whole("expired_at")
    token = facts.needed_text("access_token")
    if not token.isascii() or not token.isprintable():
        raise MalformedAnswer("the token in the answer cannot be sent in a header")
    if now is None or expired_at is None:
        raise MalformedAnswer("the token in the answer does not say how long it lives")
    return token, expired_at - now
