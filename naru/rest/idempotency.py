"""Idempotency-Key: however often a request is repeated, it has one effect and one answer.

The first to come claims (merchant, method, path, key), committed before its verb runs. The verb
binds what it begins to the claim in the transaction that begins it. From then on the key has an
effect and can never have a second one; the answer is what the effect became, whoever tells it.
docs/decisions/0011-idempotency.md.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from naru.domain.errors import NaruError, PgRefused, Refused, Superseded
from naru.domain.once import Once
from naru.rest import messages
from naru.rest.envelope import Answer, HttpRefusal, refusal_of
from naru.rest.operation import Call, Operation
from naru.store.idempotency import Name, Record

HEADER = b"idempotency-key"
REPLAYED = (b"idempotent-replayed", b"true")
KEPT = timedelta(days=15)
# Longer than any verb works: waiting for another cancel (12 s), then for the PG (10 s).
LEASE = timedelta(seconds=30)
WAIT_SECONDS = 25.0
LOOK_AGAIN_SECONDS = (0.02, 0.5)
PATH_CHARACTERS_MAX = 200

_KEY = re.compile(rb"[!-~]{1,255}")


def read_key(headers: dict[bytes, bytes]) -> str | None:
    """The key of this request, byte for byte; None when it carries none. Raises HttpRefusal 400."""
    key = headers.get(HEADER)
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise HttpRefusal(400, messages.KEY_MALFORMED)
    return key.decode("ascii")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request with its key: who calls, what is to be done, and under which name it is kept."""

    call: Call
    operation: Operation
    request: msgspec.Struct
    name: Name
    fingerprint: bytes


async def answer_once(
    call: Call, operation: Operation, request: msgspec.Struct, path: str, key: str
) -> Answer:
    """The one answer of this key. Raises what the verb refuses before it has begun anything.

    Raises HttpRefusal 422 (the key belongs to a request with another content) and 409 (it is
    being answered, and that takes long). A 409 that is answered tells how things stand.
    """
    name = Name(call.merchant_id, operation.method, _path(path), key)
    asked = _Asked(call, operation, request, name, fingerprint_of(request))
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + WAIT_SECONDS, LOOK_AGAIN_SECONDS[0]
    while True:
        once, record = await _look(asked)
        if once is not None:
            answer = await _try(asked, once)
            if answer is not None:
                return answer
            continue
        if record is None:
            continue
        if record.fingerprint != asked.fingerprint:
            raise HttpRefusal(422, messages.KEY_OF_ANOTHER_REQUEST)
        if record.status is not None:
            headers = [(each.encode(), value.encode()) for each, value in record.headers]
            return Answer(record.status, record.body, (*headers, REPLAYED))
        if record.effect is not None and record.lease_until <= call.gateway.now():
            answer = await _recall(asked, record.effect)
            if answer.status == 409 or await _finish(asked, record.once, answer):
                return answer
            continue
        if loop.time() > deadline:
            raise HttpRefusal(409, messages.KEY_UNDER_WAY, ((b"retry-after", b"1"),))
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LOOK_AGAIN_SECONDS[1])


def fingerprint_of(request: msgspec.Struct) -> bytes:
    """What a request says, in 32 bytes: the same for JSON and form, for 300 and 3e2."""
    said = _plain(msgspec.to_builtins(request, builtin_types=(Decimal,)))
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


async def _look(asked: _Asked) -> tuple[Once | None, Record | None]:
    """The word, when it is ours to have; else what is written. Neither: look again."""
    now = asked.call.gateway.now()
    async with asked.call.gateway.store.direct() as session:
        keys = session.idempotency
        record = await keys.get(asked.name)
        if record is None:
            return await keys.claim(asked.name, asked.fingerprint, now + LEASE, now + KEPT), None
        if record.expires_at <= now:
            await keys.forget_one(record.once, now)
            return None, None
        silent = record.status is None and record.effect is None and record.lease_until <= now
        if silent and record.fingerprint == asked.fingerprint:
            # Whoever claimed it died, or sleeps: should it wake up, it can bind nothing any more.
            return await keys.take_over(record.once, now + LEASE, now), None
        return None, record


async def _try(asked: _Asked, once: Once) -> Answer | None:
    """Run the verb. None: look at the record again, which others, or what we began, will fill.

    A refusal before anything was begun frees the key: the same request may be right tomorrow.
    """
    gateway, verb = asked.call.gateway, asked.operation.verb
    assert verb is not None
    try:
        answer = await verb(replace(asked.call, once=once), asked.request)
    except Superseded:
        return None
    except PgRefused as refused:
        # The PG's own words, which the books keep only in part.
        answer = refusal_of(refused)
    except Exception as error:
        async with gateway.store.direct() as session:
            if await session.idempotency.release(once):
                raise
            await session.idempotency.end_lease(once, gateway.now())
        if isinstance(error, NaruError | HttpRefusal):
            return None
        raise
    return answer if await _finish(asked, once, answer) else None


async def _recall(asked: _Asked, effect: str) -> Answer:
    """What became of the effect."""
    assert asked.operation.recall is not None
    try:
        return await asked.operation.recall(asked.call, asked.request, effect)
    except (HttpRefusal, Refused) as refused:
        return refusal_of(refused)


async def _finish(asked: _Asked, once: Once, answer: Answer) -> bool:
    headers = [[name.decode(), value.decode()] for name, value in answer.headers]
    async with asked.call.gateway.store.direct() as session:
        return await session.idempotency.finish(
            once, asked.name, asked.fingerprint, answer.status, headers, answer.body
        )


def _path(path: str) -> str:
    """The path as it is kept; one longer than any that names a thing of ours, by its hash."""
    if len(path) <= PATH_CHARACTERS_MAX:
        return path
    return hashlib.sha256(path.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """The same with every number as its digits: a form has only text, and 3e2 is 300."""
    match value:
        case dict():
            return {name: _plain(below) for name, below in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case Decimal() if value.adjusted() < 30 and value == value.to_integral_value():
            return str(int(value))
        case bool() | str() | None:
            return value
        case _:
            return str(value)
