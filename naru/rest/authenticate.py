"""Signing in: `users/getToken`, and whose token a request carries.

Source: protocol facts, REST §1.1. A token lives 1800 s. Until then the same one is answered; when less than 60 s remain it lives
300 s longer; afterwards there is a new one. Several servers of one merchant share it.

The store keeps only a token's hash. The same token can be said again because it is computed: HMAC-SHA256 of the
key's current nonce under the root key, its first 160 bits in hex.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from naru.domain.ids import hash_secret
from naru.domain.limit import Limit, stranger
from naru.domain.merchant import is_tier_code
from naru.domain.payment import Payment
from naru.payments.gateway import Gateway
from naru.rest import messages
from naru.rest.annotations import TokenAnnotation, unix
from naru.rest.coerce import Text
from naru.rest.envelope import Answer, HttpRefusal, success
from naru.rest.operation import Operation
from naru.rest.read_fields import read_form
from naru.store import Session
from naru.store.ask_together import Question
from naru.store.merchants import ApiKey

TOKEN_LIFE = timedelta(seconds=1800)
TOKEN_LAST_MINUTE = timedelta(seconds=60)
TOKEN_EXTENSION = timedelta(seconds=300)
TOKEN_CHARACTERS_MAX = 200
# An office, or a cloud's way out, is one address with many merchants' servers behind it.
FAILURES_OF_ADDRESS = Limit("token.address", 60, 60)
FAILURES_OF_KEY = Limit("token.key", 20, 60)

_SCHEMES = ("bearer", "basic")
_log = logging.getLogger("naru.rest")
_NO_SUCH_SECRET = hash_secret("")
_TRIES_MAX = 20


class SignIn(msgspec.Struct):
    """The pair of an API key. Both are required; their absence has V1's own sentence."""

    imp_key: Annotated[str, Text()] | None = None
    imp_secret: Annotated[str, Text()] | None = None


async def sign_in(gateway: Gateway, request: SignIn, address: str | None) -> Answer:
    """The key's token, its expiry and our clock. 400 for a missing half of the pair, 401 for a wrong one,
    429 for a wrong one after too many. A right pair is never slowed.
    """
    if not request.imp_key or not request.imp_secret:
        raise HttpRefusal(400, messages.PAIR_MISSING)
    now = gateway.now()
    # Somebody else may renew the token between our reading and our writing; then theirs is the one.
    for _ in range(_TRIES_MAX):
        async with gateway.store.direct() as session:
            key = await session.merchants.key(request.imp_key)
            stored = key.secret_hash if key else _NO_SUCH_SECRET
            fits = hmac.compare_digest(stored, hash_secret(request.imp_secret))
            if key is None or not fits:
                await _count_failure(session, key, address, now)
                raise HttpRefusal(401, messages.PAIR_WRONG)
            known = key.token_nonce
            if known is not None and key.token_hash != hash_secret(
                token_of(gateway.root_key, key.imp_key, known)
            ):
                known = None  # Made under another root key: we cannot say it again.
            nonce, expires_at = token_after(known, key.token_expires_at, now)
            token = token_of(gateway.root_key, key.imp_key, nonce)
            unchanged = (nonce, expires_at) == (key.token_nonce, key.token_expires_at)
            if unchanged or await session.merchants.renew_token(
                key.imp_key, nonce, hash_secret(token), expires_at, key.token_expires_at
            ):
                return success(TokenAnnotation(token, unix(expires_at), unix(now)))
    raise RuntimeError("a token was renewed by others at every try")


async def _count_failure(
    session: Session, key: ApiKey | None, address: str | None, now: datetime
) -> None:
    """One more wrong pair from this address and for this key. Raises HttpRefusal 429.

    Only failures are counted and only they are refused: nobody can lock a merchant out by failing
    in its name, and a merchant who signs in a hundred times a second is not counted at all. What
    resists guessing is the secret's 256 bits and more; this keeps floods away and seen.
    """
    counted = (
        (FAILURES_OF_ADDRESS, stranger(address)),
        (FAILURES_OF_KEY, key.imp_key if key else None),
    )
    for limit, who in counted:
        if who is None:
            continue
        taken = await session.limits.take(limit, who, now)
        if not taken.permits:
            wait = str(taken.wait_seconds(now)).encode()
            raise HttpRefusal(429, messages.TOO_OFTEN, ((b"retry-after", wait),))
    # After the limits, so that a flood does not fill the log. A key that nobody has is not
    # repeated: it may be a secret in the wrong field.
    _log.warning("wrong API secret for %s from %s", key.imp_key if key else "no key", address)


def token_after(
    nonce: str | None, expires_at: datetime | None, now: datetime
) -> tuple[str, datetime]:
    """Nonce and expiry that a sign-in at `now` leaves behind; unchanged for a token in its prime."""
    if nonce is None or expires_at is None or expires_at <= now:
        return secrets.token_hex(20), now.replace(microsecond=0) + TOKEN_LIFE
    if expires_at - now < TOKEN_LAST_MINUTE:
        return nonce, expires_at + TOKEN_EXTENSION
    return nonce, expires_at


def token_of(root_key: bytes, imp_key: str, nonce: str) -> str:
    """The access token of a key and its nonce: 40 lower-case hex digits."""
    said = f"naru access token\n{imp_key}\n{nonce}".encode()
    return hmac.digest(root_key, said, "sha256").hex()[:40]


async def who_asks(
    gateway: Gateway,
    headers: dict[bytes, bytes],
    query: bytes,
    now: datetime,
    imp_uid: str | None = None,
) -> tuple[int, Payment | None]:
    """The id of the merchant for whom this request speaks. Raises HttpRefusal 401.

    That is the merchant whose living token it carries; with a `Tier` header the tier of that code,
    which must be one of the token's merchant (unknowns A39, D8). This is the one place where tiers
    are told apart: behind it a tier is a merchant as any other.
    With `imp_uid` also that merchant's payment, for the price of a share in one question to the database.
    """
    token = read_token(headers, query)
    tier_code = headers.get(b"tier", b"").decode("latin-1").strip() or None
    if token is None or (tier_code is not None and not is_tier_code(tier_code)):
        raise HttpRefusal(401, messages.UNAUTHORIZED)
    found = await gateway.store.who_asks(Question(imp_uid, hash_secret(token), now, tier_code))
    if found is None:
        raise HttpRefusal(401, messages.UNAUTHORIZED)
    return found


def read_token(headers: dict[bytes, bytes], query: bytes) -> str | None:
    """The token from the first of its places that holds one: Authorization (bare, or after Bearer or Basic in
    any case), X-ImpTokenHeader, `?_token=`. None when no place does, or it cannot be a token."""
    token = headers.get(b"authorization", b"").decode("latin-1").strip()
    scheme, _, rest = token.partition(" ")
    if scheme.lower() in _SCHEMES:
        token = rest.strip()
    if not token:
        token = headers.get(b"x-imptokenheader", b"").decode("latin-1").strip()
    if not token and b"_token=" in query:
        named = read_form(query).get("_token")
        token = named if isinstance(named, str) else ""
    return token if 0 < len(token) <= TOKEN_CHARACTERS_MAX else None


OPERATIONS = (
    Operation(
        "POST",
        "/users/getToken",
        SignIn,
        "인증 토큰 발급",
        "authenticate",
        open_verb=sign_in,
        answer=TokenAnnotation,
        english="Get an access token",
    ),
)
