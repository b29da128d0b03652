"""shop.toml: what is right is read, and what is wrong is one sentence that names the key."""

from __future__ import annotations

import contextlib
import copy
import re
import tomllib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naru.certifier.adapter import (
    Adapter,
    BadAdapter,
    Command,
    HttpCall,
    adapter_of,
    fill,
    point,
    read_adapter,
)
from naru.certifier.command import add_arguments
from naru.certifier.hosts import allowed_origin
from tests.support.scale import often

PAGES = Path(__file__).parents[2] / "docs" / "reference"

BY_HAND = """
[shop]
name = "by hand"

[gateway]
port = 8900
imp_key = "1234567890123456"
imp_secret = "a-secret-that-the-shop-was-given"
user_code = "imp12345678"
webhook_secret = "whsec_bXktc2hvcHMtd2ViaG9vay1zZWNyZXQtMDE="

[order]
request = "POST /certify/orders"
json = { amount = "{amount}" }
merchant_uid = "/merchant_uid"

[state]
command = ["{python}", "adapter.py", "state", "{merchant_uid}"]
status = "/status"
fulfilled = "/fulfilled"

[state.words]
paid = "paid"

[webhook]
path = "/payments/webhook"
"""

WHOLE: dict[str, Any] = tomllib.loads("""
[shop]
name = "whole"
start = ["{python}", "shop.py", "{port}"]
folder = "."
ready = "/health"

[shop.env]
IMP_URL = "{imp_url}"
WORKERS = 2

[order]
request = "POST /certify/orders"
json = { amount = "{amount}", lines = [{ name = "a {amount} won thing", count = 1 }], gift = false }
headers = { Authorization = "Bearer for-tests" }
merchant_uid = "/order/merchant_uid"
amount = "/order/amount"

[state]
request = "GET /certify/orders/{merchant_uid}"
status = "/status"
fulfilled = "/fulfilled"
paid_amount = "/paid~1amount"
settles_within = 1.5

[state.words]
paid = ["paid", "sent"]
unpaid = [0, "placed"]
cancelled = "cancelled"

[callback]
request = "POST /payments/complete"
form = { imp_uid = "{imp_uid}", merchant_uid = "{merchant_uid}" }

[redirect]
path = "/payments/complete?from=phone"

[webhook]
path = "/payments/webhook"

[sweep]
request = "POST /certify/sweep"

[change]
request = "PUT /certify/orders/{merchant_uid}/price"
json = { amount = "{amount}" }

[page]
url = "/orders/{merchant_uid}"
pay = "#pay"

[hosts]
allowed = ["Test.Shop.example"]
""")


def changed(where: str, value: Any) -> dict[str, Any]:
    """WHOLE with one value put somewhere, or taken out (`...`)."""
    text = copy.deepcopy(WHOLE)
    *above, key = where.split(".")
    place = text
    for each in above:
        place = place.setdefault(each, {})
    if value is ...:
        del place[key]
    else:
        place[key] = value
    return text


def test_a_whole_one_is_read(tmp_path: Path) -> None:
    adapter = adapter_of(tmp_path / "shop.toml", WHOLE)
    assert adapter.abilities == {"callback", "redirect", "webhook", "sweep", "change", "page"}
    assert adapter.env == {"IMP_URL": "{imp_url}", "WORKERS": "2"}
    assert adapter.words == {
        "paid": "paid",
        "sent": "paid",
        "0": "unpaid",
        "placed": "unpaid",
        "cancelled": "cancelled",
    }
    assert isinstance(adapter.order, HttpCall)
    assert (adapter.order.method, adapter.order.path) == ("POST", "/certify/orders")
    assert fill(adapter.order.json, {"amount": 1_000}) == {
        "amount": 1_000,
        "lines": [{"name": "a 1000 won thing", "count": 1}],
        "gift": False,
    }
    assert adapter.allowed_hosts == ("test.shop.example",)
    assert adapter.settles_within_seconds == 1.5


def test_one_by_hand_is_read(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(BY_HAND, "utf-8")
    adapter = read_adapter(file)
    assert adapter.by_hand is not None
    assert adapter.by_hand.port == 8900
    assert not adapter.start
    assert adapter.abilities == {"webhook"}
    assert isinstance(adapter.state, Command)
    assert "a-secret-that" not in repr(adapter)
    assert "bXktc2hvcHM" not in repr(adapter)


WRONG: list[tuple[str, Any, str]] = [
    ("order", ..., "[order] is missing"),
    ("state", ..., "[state] is missing"),
    ("ordre", {}, "[ordre] is not known. Is order meant?"),
    ("order", "POST /orders", "order is a section: write [order]"),
    ("webhook", [{}], "webhook is a section: write [webhook]"),
    ("shop.nmae", "x", "[shop] nmae is not known. Is name meant?"),
    ("shop.name", 1, "[shop] name is a text"),
    ("shop.start", "python shop.py", "[shop] start is a list of a program and its words"),
    ("shop.start", ["python", 1], "[shop] start is a list of a program and its words"),
    ("shop.start", ["python", ""], "[shop] start is a list of a program and its words"),
    ("shop.start", ["python", "a\0b"], "[shop] start is a list of a program and its words"),
    ("shop.start", ["{pyhton}"], "[shop] start: is {python} meant by {pyhton}?"),
    ("shop.start", ..., "[shop] start is missing"),
    ("shop.folder", "nowhere", "[shop] folder: there is no folder"),
    ("shop.folder", "a/" * 5_000, "[shop] folder: there is no folder"),
    ("shop.folder", "shop.toml", "[shop] folder: "),
    ("shop.ready", "http://127.0.0.1/", "[shop] ready is a path of the shop"),
    ("shop.env", ["A=1"], "[shop] env is a table"),
    ("shop.env.A B", "x", "[shop.env] 'A B' is no name of a variable"),
    ("shop.env.A=B", "x", "[shop.env] 'A=B' is no name of a variable"),
    ("shop.env.DEBUG", True, "[shop.env] DEBUG is a text"),
    ("shop.env.A", "x\0y", "[shop.env] A is a text"),
    ("shop.env.A", 2**64, "[shop.env] A is a text"),
    ("shop.env.A", "{imp_sceret}", "[shop] env: is {imp_secret} meant by {imp_sceret}?"),
    ("shop.env.A", "{amount}", "[shop] env: {amount} has no value there"),
    ("gateway.port", 8900, "[gateway] imp_key is missing"),
    ("gateway.port", "8900", "[gateway] port is a number from 1 to 65535"),
    ("gateway.port", 0, "[gateway] port is a number from 1 to 65535"),
    ("gateway.port", 65_536, "[gateway] port is a number from 1 to 65535"),
    ("gateway.port", True, "[gateway] port is a number from 1 to 65535"),
    ("gateway.webhook_format", "xml", '[gateway] webhook_format is "json" or "form"'),
    (
        "gateway",
        tomllib.loads(BY_HAND)["gateway"],
        "[gateway] is for a shop that you start yourself",
    ),
    ("order.request", ..., "[order] has a request or a command, one of the two"),
    ("order.command", ["x"], "[order] has a request or a command, one of the two"),
    ("order.request", "orders", '[order] request is written "POST /path"'),
    ("order.request", "post /orders", '[order] request is written "POST /path"'),
    ("order.request", "POST", "[order] request names a path of the shop"),
    ("order.request", "POST  /orders", "[order] request names a path of the shop"),
    ("order.request", 7, "[order] request is a text"),
    ("order.form", {"amount": "{amount}"}, "[order] has json or form, not both"),
    ("order.json", "{}", "[order] json is a table"),
    ("order.json.at", tomllib.loads("a = 2020-01-01")["a"], "[order] json holds what JSON has no"),
    ("order.json.much", [float("inf")], "[order] json holds what JSON has no word for"),
    ("order.json.none", float("nan"), "[order] json holds what JSON has no word for"),
    ("order.json.uid", "{merchant_uid}", "[order] json: {merchant_uid} has no value there"),
    ("order.headers", {"A B": "x"}, "[order] headers: 'A B' is no name of a header"),
    ("order.headers", {"A": "x\r\nHost: evil"}, "[order] headers A is one line of ASCII text"),
    ("order.headers", {"A": "가"}, "[order] headers A is one line of ASCII text"),
    ("order.headers", {"A": 1}, "[order] headers A is one line of ASCII text"),
    ("order.merchant_uid", ..., "[order] merchant_uid is missing"),
    ("order.merchant_uid", "merchant_uid", "[order] merchant_uid is a JSON pointer"),
    ("order.merchant_uid", "/a~b", "[order] merchant_uid is a JSON pointer"),
    ("order.amount", 1_000, "[order] amount is a JSON pointer"),
    ("state.status", ..., "[state] status is missing"),
    ("state.status", "", "[state] status is a JSON pointer"),
    ("state.fulfilled", ..., "[state] fulfilled is missing"),
    ("state.request", "GET /orders/last", "[state] says {merchant_uid} nowhere"),
    ("state.request", "GET /orders/{merchant_id}", "[state] request: is {merchant_uid} meant"),
    ("state.settles_within", -1, "[state] settles_within is a number of seconds, from 0 to 60"),
    ("state.settles_within", float("inf"), "[state] settles_within is a number of seconds"),
    ("state.settles_within", float("nan"), "[state] settles_within is a number of seconds"),
    ("state.settles_within", "1s", "[state] settles_within is a number of seconds"),
    ("state.words", ..., "[state] words is missing"),
    ("state.words", ["paid"], "[state] words is a table"),
    ("state.words.payed", ["x"], "[state.words] payed is not known: paid, unpaid, cancelled"),
    ("state.words.paid", ..., "[state.words] paid is missing"),
    ("state.words.paid", [], "[state.words] paid is missing"),
    ("state.words.paid", [["paid"]], "[state.words] paid is the shop's word, or a list of words"),
    ("state.words.paid", {"a": 1}, "[state.words] paid is the shop's word, or a list of words"),
    ("state.words.paid", 1.5, "[state.words] paid is the shop's word, or a list of words"),
    ("state.words.unpaid", ["paid"], "[state.words] 'paid' means two things"),
    ("callback.form.a", 1.5, "[callback] form a is a text or a whole number"),
    ("callback.form.a", ["x"], "[callback] form a is a text or a whole number"),
    ("callback", {}, "[callback] has a request or a command"),
    ("change.json", {"price": 1}, "[change] says {amount} nowhere"),
    ("sweep", {"command": []}, "[sweep] command is a list of a program and its words"),
    ("sweep", {"command": ["x"], "json": {}}, "[sweep] json is for a request, not for a command"),
    ("redirect", {}, "[redirect] path is missing"),
    ("webhook.path", 1, "[webhook] path is a path of the shop"),
    ("webhook.path", "/{merchant_uid}", "[webhook] path: {merchant_uid} has no value there"),
    ("page.pay", ..., "[page] pay is missing"),
    ("page.pay", "", "[page] pay is a text"),
    ("hosts.allowed", "test.example", "[hosts] allowed is a list of texts"),
    ("hosts.allowed", [1], "[hosts] allowed is a list of texts"),
]


@pytest.mark.parametrize(("where", "value", "says"), WRONG, ids=lambda each: str(each)[:40])
def test_what_is_wrong_is_named(where: str, value: Any, says: str, tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.touch()
    with pytest.raises(BadAdapter) as raised:
        adapter_of(file, changed(where, value))
    assert str(raised.value).startswith(says)
    assert "\n" not in str(raised.value)


def test_a_shop_hears_of_payments_somehow(tmp_path: Path) -> None:
    text = {
        name: keys
        for name, keys in WHOLE.items()
        if name not in ("callback", "redirect", "webhook")
    }
    with pytest.raises(BadAdapter, match="At least one of"):
        adapter_of(tmp_path / "shop.toml", text)


def test_an_order_of_an_amount_needs_the_amount(tmp_path: Path) -> None:
    text = changed("order.json", {"product": "book"})
    assert adapter_of(tmp_path / "shop.toml", text).order_amount == "/order/amount"
    del text["order"]["amount"]
    with pytest.raises(BadAdapter, match=re.escape("[order] says {amount} nowhere")):
        adapter_of(tmp_path / "shop.toml", text)


@pytest.mark.parametrize(
    "content",
    [
        b"[order",
        b"\xff\xfe",
        b"a = 1\na = 2",
        b"a = " + b"[" * 20_000,
        b"a = " + b"9" * 5_000,
        b"a = 2026-13-45",
        b"[order]\nrequest = \"POST /a\\u0000\"",
        b"[shop]\nenv = { A = 0x" + b"f" * 9_000 + b" }",
    ],
    ids=range(8),
)  # fmt: skip
def test_what_is_no_adapter_at_all_is_said_so(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_bytes(content)
    with pytest.raises(BadAdapter):
        read_adapter(file)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    for file in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(BadAdapter, match=re.escape(str(file))):
            read_adapter(file)


NAMES = ("order", "state", "callback", "webhook", "redirect", "sweep", "shop", "gateway", "page")
NAMES += ("request", "command", "json", "form", "headers", "words", "paid", "start", "env", "path")
NAMES += ("port", "status", "merchant_uid", "allowed", "settles_within", "folder", "hosts")
KEYS = st.sampled_from(NAMES) | st.text(max_size=4)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=12)
    | st.sampled_from(("/a", "POST /a", "{amount}", "{merchant_uid}", "..", "/a/{amuont}", "\x00")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
PATHS = [f"{section}.{key}" for section, keys in WHOLE.items() for key in keys] + [
    "state.words.paid",
    "state.words.unpaid",
    "shop.env.A",
    "order.json.a",
    "order.headers.A",
]


def works(adapter: Adapter) -> None:
    """What was taken for good can be used: nothing of it is found out in the middle of a run."""
    for call in (adapter.order, adapter.state, adapter.callback, adapter.sweep, adapter.change):
        if isinstance(call, HttpCall):
            fill(call.path, {"amount": 1, "merchant_uid": "o"}, quoted=True)
            assert all(value.isprintable() for value in call.headers.values())
    assert all(isinstance(text, str) for text in adapter.env.values())
    assert "paid" in adapter.words.values()


@settings(max_examples=often(100, 1_000), deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_nothing_but_bad_adapter_is_raised_by_anything(text: dict[str, Any]) -> None:
    with contextlib.suppress(BadAdapter):
        works(adapter_of(Path("shop.toml"), text))


@settings(max_examples=often(150, 1_000), deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=3))
def test_nothing_but_bad_adapter_is_raised_by_nearly_right_ones(
    changes: list[tuple[str, Any]],
) -> None:
    text = copy.deepcopy(WHOLE)
    for where, value in changes:
        *above, key = where.split(".")
        place: Any = text
        for each in above:
            place = place.get(each) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[key] = value
    with contextlib.suppress(BadAdapter):
        works(adapter_of(Path("shop.toml"), text))


@settings(max_examples=often(100, 5_000), deadline=None)
@given(VALUES, st.lists(st.sampled_from(("a", "0", "-1", "²", "٣", "")), min_size=1, max_size=3))
def test_a_pointer_finds_or_finds_not(answer: Any, parts: list[str]) -> None:
    with contextlib.suppress(LookupError):
        point(answer, "/" + "/".join(parts))


@pytest.mark.parametrize("page", ["adapter.md", "adapter.ko.md"])
def test_the_examples_of_the_page_are_adapters(page: str, tmp_path: Path) -> None:
    """Each is read as the command beneath it says, up to where a shop would have to run."""
    text = (PAGES / page).read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```.*?```sh\nnaru certify (.*?)\n```", text, re.DOTALL)
    assert len(examples) == 2
    read = []
    for example, words in examples:
        parser = ArgumentParser()
        add_arguments(parser)
        given = parser.parse_args(words.split())
        file = tmp_path / given.adapter
        file.write_text(example, "utf-8")
        read.append((read_adapter(file), given.url))
    (started, no_url), (by_hand, url) = read
    assert started.start
    assert no_url is None
    assert by_hand.by_hand is not None
    assert allowed_origin(url, real=False, listed=()) == url
    # Each key that there is has a word on the page.
    for section, keys in KNOWN.items():
        assert f"[{section}]" in text
        for key in keys:
            assert f"`{key}`" in text, f"[{section}] {key}"


KNOWN = {
    "shop": ("name", "start", "folder", "ready"),
    "shop.env": (),
    "gateway": ("port", "imp_key", "imp_secret", "user_code", "webhook_secret", "webhook_format"),
    "order": ("request", "command", "json", "form", "headers", "merchant_uid", "amount"),
    "state": ("status", "fulfilled", "paid_amount", "settles_within"),
    "state.words": ("paid", "unpaid", "cancelled"),
    "callback": (),
    "redirect": ("path",),
    "webhook": ("path",),
    "sweep": (),
    "change": (),
    "page": ("url", "pay"),
    "hosts": ("allowed",),
}


def test_the_page_s_keys_are_those_that_the_code_knows() -> None:
    for section, keys in KNOWN.items():
        if "." in section or section == "callback":
            continue
        for key in (key for key in keys if key not in ("request", "command")):
            with pytest.raises(BadAdapter) as raised:
                adapter_of(Path("shop.toml"), changed(f"{section}.{key}", None))
            assert "is not known" not in str(raised.value)
