"""Good messages of the PG, forged and mutated a thousand ways: none is believed, no book changes (G10).

Every message begins as a good one, signed as the sandbox PG signs. The control takes the signature
check out: then many of the same messages are believed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from starlette.applications import Starlette

from naru import notices
from naru.connectors.sandbox import line, payments
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn
from naru.domain.payment import Payment
from naru.payments.approve import approve
from naru.payments.gateway import Gateway
from naru.store import Store
from naru.wire import Wire
from tests.support.gateway import ROOT_KEY
from tests.support.house import PG_SECRET, make_merchant, make_payment
from tests.support.scale import often
from tests.test_notices import wait_for_deposit

OTHER_SECRET = "the secret of another channel, as long"
RETURN_FIELDS = (
    "mid", "order_no", "status", "auth_token", "amount", "currency", "pay_method", "code",
    "message", "expires_at",
)  # fmt: skip


@dataclass
class Scene:
    """Our house, one payment that waits for a deposit, one whose window is open, and a stranger's."""

    gateway: Gateway
    sql: asyncpg.Connection
    channel: Channel
    other: Channel
    waiting: Payment
    opened: Payment
    others: Payment

    async def books(self) -> str:
        """Everything that money left behind, in one text."""
        tables = (
            "payments",
            "payment_events",
            "intents",
            "deposits",
            "cancellations",
            "webhook_deliveries",
        )
        parts = [
            f"(SELECT count(*) || ':' || coalesce(md5(string_agg(t::text, ',' ORDER BY t::text)), '')"
            f" FROM {table} t)"
            for table in tables
        ]
        found: str = await self.sql.fetchval(f"SELECT {' || '.join(parts)}")
        return found

    async def hear(self, message: Notice) -> tuple[int, bytes]:
        """What our door answers to this notice."""
        app = Starlette(routes=notices.routes(self.gateway))
        answers: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": message.body, "more_body": False}

        async def send(part: Any) -> None:
            answers.append(part)

        path = f"/notices/{message.key}"
        await app(
            {
                "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
                "query_string": b"", "scheme": "http", "server": ("127.0.0.1", 80),
                "client": ("127.0.0.1", 1), "http_version": "1.1", "root_path": "",
                "headers": [
                    (name.lower().encode(), value.encode("latin-1", "replace"))
                    for name, value in message.headers
                ],
            },
            receive, send,
        )  # fmt: skip
        return answers[0]["status"], answers[1]["body"]


@pytest.fixture
async def scene(database_url: str) -> AsyncIterator[Scene]:
    store = await Store.open(database_url, root_key=ROOT_KEY)
    sql = await asyncpg.connect(database_url)
    async with Wire(allow_private=True, ports=None) as wire:
        gateway = Gateway(store, wire, wire, "http://127.0.0.1:1", ROOT_KEY)
        merchant, stranger = await make_merchant(store), await make_merchant(store)
        async with store.begin() as tx:
            [channel] = await tx.channels.of_merchant(merchant.id)
            [other] = await tx.channels.of_merchant(stranger.id)
            await tx.channels.change_settings(other.id, {**other.settings, "secret": OTHER_SECRET})
        yield Scene(
            gateway, sql, channel, other,
            await wait_for_deposit(store, await make_payment(store, merchant)),
            await make_payment(store, merchant),
            await make_payment(store, stranger),
        )  # fmt: skip
    await sql.close()
    await store.close()


def sign(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


# --- notices ---------------------------------------------------------------------------------------


@dataclass
class Notice:
    """What the PG posts: to the channel of this key."""

    key: str
    stamp: str
    signature: str | None
    body: bytes
    twice: tuple[str, ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        found = [("X-Sandbox-Timestamp", self.stamp)]
        if self.signature is not None:
            found.append(("X-Sandbox-Signature", self.signature))
        return [("X-Sandbox-Signature", each) for each in self.twice] + found


def good_notice(scene: Scene, number: int = 0, **changes: Any) -> dict[str, Any]:
    payment = scene.waiting
    return {
        "notice_id": f"n{number}",
        "type": "deposited",
        "mid": scene.channel.mid,
        "order_no": payment.pg_order_no,
        "tid": "tid-1",
        "amount": payment.amount.minor,
        "total": payment.amount.minor,
        "currency": "KRW",
        "depositor": "홍길동",
        "deposited_at": int(time.time()),
    } | changes


def signed(key: str, body: bytes, *, secret: str = PG_SECRET, stamp: str | None = None) -> Notice:
    stamp = str(int(time.time())) if stamp is None else stamp
    return Notice(key, stamp, sign(secret, stamp.encode() + b"." + body), body)


def written(notice: dict[str, Any]) -> bytes:
    return json.dumps(notice, ensure_ascii=False).encode()


def other_value(chance: random.Random, value: Any) -> Any:
    """Something else in this place."""
    near = (
        [value + 1, value - 1, value * 10, -value]
        if isinstance(value, int)
        else [f"{value}x", value[:-1]]
    )
    return chance.choice([*near, None, True, [], {}, "", 0, 1e30, "\u202e", str(value) + "\n"])


def mutate_notice(chance: random.Random, scene: Scene, number: int) -> tuple[str, Notice]:
    """A message that the PG never sent, and in which way it is wrong."""
    key = scene.channel.channel_key
    fields = good_notice(scene, number)
    good = signed(key, written(fields))
    body, place = bytearray(good.body), chance.randrange(len(good.body))

    def with_body(changed: bytes) -> Notice:
        return Notice(key, good.stamp, good.signature, changed)

    def with_field() -> Notice:
        name = chance.choice(list(fields))
        return with_body(written(fields | {name: other_value(chance, fields[name])}))

    def with_shuffled() -> Notice:
        names = list(fields)
        while names == list(fields):
            chance.shuffle(names)
        return with_body(written({name: fields[name] for name in names}))

    def flipped() -> Notice:
        body[place] ^= 1 << chance.randrange(8)
        return with_body(bytes(body))

    def resigned(changes: dict[str, Any], secret: str = PG_SECRET, to: str = key) -> Notice:
        return signed(to, written(fields | changes), secret=secret)

    def old(seconds: int) -> Notice:
        return signed(key, good.body, stamp=str(int(time.time()) + seconds))

    signature = good.signature or ""
    mutations: dict[str, Callable[[], Notice]] = {
        "bit": flipped,
        "byte gone": lambda: with_body(bytes(body[:place] + body[place + 1 :])),
        "byte twice": lambda: with_body(bytes(body[: place + 1] + body[place:])),
        "cut": lambda: with_body(bytes(body[:place])),
        "tail": lambda: with_body(bytes(body) + chance.choice([b" ", b"\n", b"\0", b"{}"])),
        "field": with_field,
        "field gone": lambda: with_body(
            written({n: v for n, v in fields.items() if n != chance.choice(list(fields))})[:-1]
        ),
        "field twice": lambda: with_body(good.body[:-1] + b', "amount": 1}'),
        "order of fields": with_shuffled,
        "encoding": lambda: with_body(
            good.body.decode().encode(chance.choice(["utf-16", "euc-kr", "utf-8-sig", "utf-32"]))
        ),
        "another channel's key": lambda: resigned({}, OTHER_SECRET),
        "to another channel": lambda: Notice(
            scene.other.channel_key, good.stamp, good.signature, good.body
        ),
        "another channel's own notice": lambda: signed(
            key, written(fields | {"mid": scene.other.mid}), secret=OTHER_SECRET
        ),
        "signed well for another mid": lambda: resigned({"mid": scene.other.mid}),
        "signed well, unreadable": lambda: resigned(
            chance.choice(
                [{"amount": -1004}, {"amount": 0}, {"amount": "1004"}, {"amount": 1004.5},
                 {"amount": True}, {"amount": None}, {"amount": 10**20}, {"currency": "XXX"},
                 {"currency": 410}, {"order_no": ""}, {"order_no": None}, {"order_no": "x\n"},
                 {"notice_id": ""}, {"notice_id": "a" * 101}, {"tid": "\0"}, {"deposited_at": -1},
                 {"deposited_at": 10**15}, {"deposited_at": "now"}, {"type": 1}]
            )
        ),
        "no secret": lambda: resigned({}, chance.choice(["", key, scene.channel.mid, "secret"])),
        "no signature": lambda: Notice(key, good.stamp, None, good.body),
        "signature": lambda: Notice(
            key, good.stamp,
            chance.choice(
                ["", "0" * 64, signature.upper(), signature[:-1], signature + "0", signature[::-1],
                 "sha256=" + signature, base64.b64encode(bytes.fromhex(signature)).decode(),
                 hashlib.sha256(good.body).hexdigest(), signature[:32] + "é" * 32]
            ),
            good.body,
        ),
        "signature of another message": lambda: Notice(
            key, good.stamp, signed(key, written(good_notice(scene, number + 1))).signature, good.body
        ),
        "two signatures, the first is wrong": lambda: Notice(
            key, good.stamp, good.signature, good.body, twice=("0" * 64,)
        ),
        "time": lambda: Notice(
            key, chance.choice([str(int(good.stamp) + 1), "", "0", good.stamp + " ", "-1", "9" * 30]),
            good.signature, good.body,
        ),
        "too old": lambda: old(-chance.randint(line.NOTICE_SKEW_SECONDS + 60, 10**6)),
        "too new": lambda: old(chance.randint(line.NOTICE_SKEW_SECONDS + 60, 10**6)),
        "time moved into the body": lambda: Notice(
            key, good.stamp[:-1], good.signature, good.stamp[-1:].encode() + b"." + good.body
        ),
    }  # fmt: skip
    how = chance.choice(list(mutations))
    return how, mutations[how]()


async def test_no_forged_or_mutated_notice_is_believed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seed, times = random.randrange(2**32), often(1_100, 60_000)
    before = await scene.books()
    believed, ways = await _send_all(scene, seed, times)
    assert believed == [], f"seed {seed}"
    assert await scene.books() == before, f"seed {seed}"

    # The control: the same messages, the same house, and whoever signs is believed.
    with monkeypatch.context() as plant:
        _believe_everybody(plant)
        fooled, _ = await _send_all(scene, seed, 400)
    assert len(fooled) > 20
    assert await scene.books() != before
    with capsys.disabled():
        print(
            f"\nnotices: {times} forged in {len(ways)} ways, 0 believed;"
            f" control without the signature check: {len(fooled)} of 400"
        )


async def _send_all(scene: Scene, seed: int, times: int) -> tuple[list[str], set[str]]:
    chance, believed, ways = random.Random(seed), [], set()
    for number in range(times):
        how, message = mutate_notice(chance, scene, number)
        ways.add(how)
        status, body = await scene.hear(message)
        assert status < 500, (seed, how, status)
        if status == 200 or body == b"OK":
            believed.append(how)
    return believed, ways


def _believe_everybody(plant: pytest.MonkeyPatch) -> None:
    """The planted bug: a comparison that is always content."""
    content = SimpleNamespace(new=hmac.new, compare_digest=lambda a, b: True)
    for reader in (line, payments):
        plant.setattr(reader, "hmac", content)


async def test_a_good_notice_is_believed_once_and_its_replay_changes_nothing(scene: Scene) -> None:
    """That the forged ones are refused says something only if the good one is not."""
    message = signed(scene.channel.channel_key, written(good_notice(scene)))
    assert await scene.hear(message) == (200, b"OK")
    before = await scene.books()
    assert [await scene.hear(message) for _ in range(20)] == [(200, b"OK")] * 20
    assert await scene.books() == before
    # After the end, under a new time: the PG's own key of the notice still tells.
    again = signed(message.key, message.body, stamp=str(int(time.time()) + 5))
    assert await scene.hear(again) == (200, b"OK")
    assert await scene.books() == before


# --- returns ---------------------------------------------------------------------------------------


def good_return(scene: Scene, payment: Payment, channel: Channel, **changes: str) -> dict[str, str]:
    return {
        "mid": channel.mid,
        "order_no": payment.pg_order_no,
        "status": "authenticated",
        "auth_token": "tok_" + payment.pg_order_no,
        "amount": str(payment.amount.minor),
        "currency": payment.amount.currency,
        "pay_method": "card",
        "code": "",
        "message": "",
        "expires_at": str(int(time.time()) + 600),
    } | changes


def sign_return(fields: dict[str, str], secret: str = PG_SECRET) -> dict[str, str]:
    text = "return\n" + "\n".join(fields.get(name, "") for name in RETURN_FIELDS)
    return fields | {"signature": sign(secret, text.encode("utf-8", "surrogatepass"))}


def mutate_return(chance: random.Random, scene: Scene) -> tuple[str, dict[str, str]]:
    """A form that the PG never signed for this payment."""
    unsigned = good_return(scene, scene.opened, scene.channel)
    good = sign_return(unsigned)
    name = chance.choice(RETURN_FIELDS)
    text = good[name]

    def changed() -> dict[str, str]:
        other = text
        while other == text:
            place = chance.randrange(len(text) + 1)
            other = chance.choice(
                [text + "0", text[:-1], text[:place] + chr(chance.randrange(1, 0x3000)) + text[place:],
                 text.swapcase(), text[::-1], "", "\x00", "authenticated", "1", "\ud800",
                 text.translate({ord("0") + n: ord("０") + n for n in range(10)})]
            )  # fmt: skip
        return good | {name: other}

    def moved_boundary() -> dict[str, str]:
        at = chance.randrange(len(RETURN_FIELDS) - 1)
        first, second = RETURN_FIELDS[at], RETURN_FIELDS[at + 1]
        return good | {first: f"{good[first]}\n{good[second]}", second: ""}

    def resigned(secret: str = PG_SECRET, **changes: str) -> dict[str, str]:
        return sign_return(unsigned | changes, secret)

    signature = good["signature"]
    mutations: dict[str, Callable[[], dict[str, str]]] = {
        "field": changed,
        "field gone": lambda: {n: v for n, v in good.items() if n != (name if text else "amount")},
        "fields moved": moved_boundary,
        "values swapped": lambda: good | {"mid": good["order_no"], "order_no": good["mid"]},
        "another payment's good return": lambda: sign_return(
            good_return(scene, scene.waiting, scene.channel)
        ),
        "another merchant's good return": lambda: sign_return(
            good_return(scene, scene.others, scene.other), OTHER_SECRET
        ),
        "another payment's signature": lambda: good | {
            "signature": sign_return(good_return(scene, scene.waiting, scene.channel))["signature"]
        },
        "another channel's key": lambda: resigned(OTHER_SECRET),
        "no secret": lambda: resigned(chance.choice(["", scene.channel.mid, scene.channel.channel_key])),
        "signed well, another amount": lambda: resigned(
            amount=chance.choice(["1003", "1005", "100", "1004.0", "1e3", " 1004", "+1004", "-1004", ""])
        ),
        "signed well, another currency": lambda: resigned(currency=chance.choice(["USD", "krw", ""])),
        "signed well, another mid": lambda: resigned(mid=scene.other.mid),
        "signature": lambda: good | {
            "signature": chance.choice(
                ["", "0" * 64, signature.upper(), signature[:-1], signature + "\n", "é" * 64,
                 "\ud800", signature[::-1]]
            )
        },
        "a notice's signature": lambda: good | {
            "signature": signed("", "\n".join(unsigned.values()).encode()).signature or ""
        },
    }  # fmt: skip
    how = chance.choice(list(mutations))
    return how, mutations[how]()


async def test_no_forged_or_mutated_return_is_believed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seed, times = random.randrange(2**32), often(1_100, 60_000)
    before = await scene.books()
    believed, ways = await _bring_all(scene, seed, times)
    assert believed == [], f"seed {seed}"
    assert await scene.books() == before, f"seed {seed}"
    with monkeypatch.context() as plant:
        _believe_everybody(plant)
        fooled, _ = await _bring_all(scene, seed, 400)
    assert len(fooled) > 20
    assert await scene.books() != before
    with capsys.disabled():
        print(
            f"\nreturns: {times} forged in {len(ways)} ways, 0 believed;"
            f" control without the signature check: {len(fooled)} of 400"
        )


async def _bring_all(scene: Scene, seed: int, times: int) -> tuple[list[str], set[str]]:
    chance, believed, ways = random.Random(seed), [], set()
    for _ in range(times):
        how, fields = mutate_return(chance, scene)
        ways.add(how)
        try:
            await approve(scene.gateway, scene.opened.imp_uid, fields)
        except ForgedReturn:
            continue
        believed.append(how)
    return believed, ways
