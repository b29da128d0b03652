"""How long a refusal takes tells nothing about the secret (G20).

By day the code is read: what a stranger presents is compared by `hmac.compare_digest`, or is hashed
and looked up. By night it is measured as dudect does: wrong in the last place against wrong
everywhere, Welch's t; the control is `==`, which must be told apart.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import hmac
import json
import math
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from naru.connectors.sandbox import Sandbox
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn
from naru.domain.ids import ChannelKey, hash_secret
from naru.kit import BadWebhook, read_webhook
from naru.wire import Wire
from tests.attacks.test_notices import sign, sign_return

ROOT = Path(__file__).parents[2] / "naru"
SECRET_WORDS = re.compile(
    r"secret|signature|token|digest|hash|hmac|proof|password|nonce|otp|pin\b", re.IGNORECASE
)
# Compared by == for a reason: nothing that a stranger presents is among the two sides.
HARMLESS = {
    "cli/doctor.py": {"'NARU_SECRET' not in os.environ"},
    "rest/authenticate.py": {
        "b'_token=' in query",
        # Our own token against our own hash of it, to see whether the root key was changed.
        "key.token_hash != hash_secret(token_of(gateway.root_key, key.imp_key, known))",
        "(nonce, expires_at) == (key.token_nonce, key.token_expires_at)",
    },
    "store/migrate.py": {"done[name] != digest"},
}  # fmt: skip
# Where a stranger presents a secret, and what must stand in that function.
BORDERS = {
    ("rest/authenticate.py", "sign_in"): "hmac.compare_digest(",
    ("rest/authenticate.py", "who_asks"): "hash_secret(token)",
    ("checkout/returns.py", "payment_by_proof"): "hmac.compare_digest(",
    ("connectors/sandbox/payments.py", "read_return"): "hmac.compare_digest(",
    ("connectors/sandbox/line.py", "proven_json"): "hmac.compare_digest(",
    ("connectors/sandbox/line.py", "signed_json"): "hmac.compare_digest(",
    ("kit/webhook.py", "_check_signature"): ".verify(",
}


def comparisons(source: str) -> list[str]:
    """Every == != in of this module in which a secret seems to stand, except with plain words."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        if not any(isinstance(each, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for each in node.ops):
            continue
        sides = [node.left, *node.comparators]
        # A name compared with a word of ours ("webhook_secret") is no secret.
        if any(_is_words(each) for each in sides) and "environ" not in ast.unparse(node):
            continue
        if any(SECRET_WORDS.search(ast.unparse(each)) for each in sides):
            found.append(ast.unparse(node))
    return found


def _is_words(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, bytes)
    return isinstance(node, ast.Tuple | ast.Set | ast.List) and all(map(_is_words, node.elts))


def test_no_secret_is_compared_by_equality() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        # The shop, the bench and the sandbox's own window are other companies' affairs.
        if name.startswith(("shop/", "bench/", "sandbox/")) or "/vendor/" in name:
            continue
        wrong += [
            f"{name}: {each}"
            for each in comparisons(path.read_text("utf-8"))
            if each not in HARMLESS.get(name, ())
            # Names of constants in capitals are ours, not a secret.
            and not re.search(r"[!=]= [A-Z_]+$", each)
        ]
    assert wrong == []


@pytest.mark.parametrize(
    "planted",
    ["if token == stored: pass", "if signature != expected: pass", "ok = proof in proofs",
     "if key.secret_hash == hash_secret(given): pass"],
)  # fmt: skip
def test_the_reader_finds_what_is_planted(planted: str) -> None:
    assert comparisons(planted)


@pytest.mark.parametrize(("place", "must"), BORDERS.items())
def test_every_border_compares_in_constant_time_or_looks_up_a_hash(
    place: tuple[str, str], must: str
) -> None:
    source = (ROOT / place[0]).read_text("utf-8")
    [function] = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == place[1]
    ]
    assert must in ast.unparse(function)


def test_what_is_looked_up_is_a_hash() -> None:
    """The database's own comparison may take its time: it compares SHA-256, which nobody can steer."""
    for path in (ROOT / "store" / "queries").glob("*.sql"):
        for line in path.read_text("utf-8").splitlines():
            if not line.startswith("--"):
                assert not re.search(
                    r"\b(secret|token|api_secret|imp_secret|password)\s*=\s*\$", line
                ), line


# --- by night --------------------------------------------------------------------------------------

SAMPLES = 100_000
T_MAX = 4.5
KEY = secrets.token_hex(32)
CHANNEL = Channel(
    id=1, merchant_id=1, channel_key=ChannelKey("k"), pg_code="kcp", mid="T1", connector="sandbox",
    test=True, kind="payment", is_default=True, settings={"url": "http://127.0.0.1:1", "secret": KEY},
)  # fmt: skip
STAMP = str(int(time.time()))
BODY = b'{"type":"deposited"}'


HEX = "0123456789abcdef"
BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def last_wrong(right: str) -> str:
    # The last letter of a signature in base64 holds four bits: four letters there spell one signature.
    return right[:-2] + _another(right, right[-2]) + right[-1]


def all_wrong(right: str) -> str:
    return "".join(_another(right, each) for each in right)


def _another(right: str, character: str) -> str:
    """Of the same alphabet: guesses must differ in nothing but where they are wrong."""
    alphabet = HEX if set(right) <= set(HEX) else BASE64
    return random.choice([each for each in alphabet if each != character])


def welch(try_it: Callable[[str], object], right: str, *, again: int) -> float:
    """t between the two classes of wrong guesses; each sample tries its guess `again` times."""
    guesses = [[make(right) for _ in range(64)] for make in (last_wrong, all_wrong)]
    spent: list[list[int]] = [[], []]
    clock = time.perf_counter_ns
    gc.disable()
    try:
        for _ in range(SAMPLES):
            kind = random.getrandbits(1)
            guess = guesses[kind][random.getrandbits(6)]
            began = clock()
            for _ in range(again):
                try_it(guess)
            spent[kind].append(clock() - began)
    finally:
        gc.enable()
    # Interruptions are not the subject: both classes are cut at the same time.
    cut = sorted(spent[0] + spent[1])[int(SAMPLES * 0.8)]
    kept = [[each for each in times if each <= cut] for times in spent]
    means = [sum(times) / len(times) for times in kept]
    errors = [
        sum((each - mean) ** 2 for each in times) / (len(times) - 1) / len(times)
        for times, mean in zip(kept, means, strict=True)
    ]
    return (means[0] - means[1]) / math.sqrt(sum(errors))


@contextmanager
def _refused(error: type[Exception]) -> Iterator[None]:
    """A guess that is believed is no wrong guess, and takes another way."""
    try:
        yield
    except error:
        return
    raise AssertionError("a wrong guess was believed")


def _subjects() -> dict[str, tuple[Callable[[str], object], str, int]]:
    pg = Sandbox(Wire(), lambda: datetime.now(UTC))
    notice = sign(KEY, STAMP.encode() + b"." + BODY)
    form = sign_return({"mid": "T1", "order_no": "n1"}, KEY)
    secret = secrets.token_hex(32)
    stored = hash_secret(secret)
    whsec = "whsec_" + "QUJD" * 10
    sent_at = datetime.now(UTC)
    webhook_body = b'{"imp_uid":"imp_1","merchant_uid":"o","status":"paid"}'
    true_signature = Webhook(whsec).sign("msg_1", sent_at, webhook_body.decode())

    def read_notice(guess: str) -> None:
        with _refused(ForgedReturn):
            pg.read_notice(
                CHANNEL, {"x-sandbox-timestamp": STAMP, "x-sandbox-signature": guess}, BODY
            )

    def read_return(guess: str) -> None:
        with _refused(ForgedReturn):
            pg.read_return(CHANNEL, None, form | {"signature": guess})  # type: ignore[arg-type]

    def read_hook(guess: str) -> None:
        headers = {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(int(sent_at.timestamp())),
            "webhook-signature": "v1," + guess + "=",
            "content-type": "application/json",
        }
        with _refused(BadWebhook):
            read_webhook(webhook_body, headers, secret=whsec)

    return {
        "API secret": (lambda guess: hmac.compare_digest(stored, hash_secret(guess)), secret, 5),
        "access token and window secret (hash before the look-up)": (hash_secret, secret, 5),
        "notice's signature": (read_notice, notice, 1),
        "return's signature": (read_return, form["signature"], 1),
        "webhook's signature": (read_hook, true_signature.removeprefix("v1,").rstrip("="), 1),
    }


@pytest.mark.skipif(not os.environ.get("NARU_NIGHTLY"), reason="timing is measured by night")
async def test_a_guess_that_is_nearly_right_takes_as_long_as_any_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = secrets.token_hex(512)

    def plainly(guess: str) -> bool:
        return guess == said

    def measure() -> tuple[float, dict[str, float]]:
        control = welch(plainly, said, again=20)
        found = {}
        for name, (try_it, right, again) in _subjects().items():
            # A busy machine may show a difference once; a leak shows it again.
            found[name] = min((welch(try_it, right, again=again) for _ in range(2)), key=abs)
        return control, found

    control, found = await asyncio.to_thread(measure)
    with capsys.disabled():
        told = json.dumps({name: round(t, 2) for name, t in found.items()}, ensure_ascii=False)
        print(f"\ntiming: |t| over {SAMPLES} samples {told}; control ==: {control:.1f}")
    assert abs(control) > T_MAX
    assert {name: t for name, t in found.items() if abs(t) >= T_MAX} == {}
