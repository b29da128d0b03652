"""What a shop says again of its secrets, or its commands do, comes into no report."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from naru.certifier.adapter import read_adapter
from naru.certifier.shop import Shop, ShopTrouble, Visitor, free_origin
from naru.certifier.tape import CUT_OUT, Tape
from tests.certifier.test_stubborn import ADAPTER, answering

KEY = "c2hvcC9vZi9hL3Rlc3Q+Pi8/c2VjcmV0cw=="
WEBHOOK = f"whsec_{KEY}"
SECRET = 'a secret/with "all" & <such>'
NAMES = {"imp_secret": SECRET, "webhook_secret": WEBHOOK}


@pytest.mark.parametrize(
    "said",
    [
        WEBHOOK,
        KEY,
        quote(KEY),
        quote(KEY, safe=""),
        quote(KEY, safe="").replace("%2F", "%2f").replace("%2B", "%2b").replace("%3D", "%3d"),
        KEY.replace("/", "\\/"),
        SECRET,
        quote_plus(SECRET),
        json.dumps(SECRET)[1:-1],
    ],
)
def test_no_spelling_of_a_secret_is_left(said: str) -> None:
    tape = Tape(NAMES.values())
    assert tape.clean(f"({said})").replace("whsec_", "") == f"({CUT_OUT})"
    # At a cut, too: the secret goes before the end does.
    assert tape.clean("x" * 5 + said, 12).startswith("x" * 5 + CUT_OUT[:7])
    assert Tape([]).clean(said) == said


def shop_with(tmp_path: Path, text: str) -> Shop:
    file = tmp_path / "shop.toml"
    file.write_text(text, "utf-8")
    return Shop(read_adapter(file), free_origin(), NAMES, Tape(NAMES.values()))


ORDER = 'request = "POST /orders"\njson = { amount = "{amount}" }'


@pytest.mark.parametrize(
    "words",
    [
        '["{python}", "-c", "import sys; sys.exit(3)", "--key={imp_secret}", "{amount}"]',
        '["{python}", "-c", "import sys; sys.exit(sys.argv[1])", "{webhook_secret}", "{amount}"]',
        '["{python}", "-c", "import sys; print(sys.argv[1])", "{webhook_secret}", "{amount}"]',
        '["{python}", "-c", "import sys, json; print(json.dumps(sys.argv))", "{imp_secret}", "{amount}"]',
        '["no-such-{imp_secret}", "{amount}"]',
    ],
)
def test_what_is_said_of_a_command_is_in_the_adapters_words(tmp_path: Path, words: str) -> None:
    made = shop_with(tmp_path, ADAPTER.replace(ORDER, f"command = {words}"))
    with pytest.raises(ShopTrouble) as trouble:
        made.place(Visitor("buyer"), 100)
    made.stop()
    assert SECRET not in str(trouble.value)
    assert json.dumps(SECRET)[1:-1] not in str(trouble.value)
    assert KEY not in str(trouble.value)


def test_a_shops_last_words_are_cleaned(tmp_path: Path) -> None:
    start = '["{python}", "-c", "import sys; sys.exit(sys.argv[1])", "{webhook_secret}"]'
    made = shop_with(tmp_path, ADAPTER.replace('["{python}", "deaf.py"]', start))
    with pytest.raises(ShopTrouble, match=r"Its last words:\n.*‹secret›") as trouble:
        made.start()
    made.stop()
    assert KEY not in str(trouble.value)


def test_headers_of_the_adapter_and_cookies_are_named_but_not_told(tmp_path: Path) -> None:
    headers = 'headers = { X-Own = "tests-own-token-4711", Accept = "text/x-told" }'
    made = shop_with(tmp_path, ADAPTER.replace(ORDER, f"{ORDER}\n{headers}"))
    with answering(lambda door: door.send_error(404)) as other:
        made.url = other.url
        visitor = Visitor("buyer", {"session": "cookie-value-4712"})
        with pytest.raises(ShopTrouble):
            made.place(visitor, 100)
        made.request(
            visitor, "GET", "/", headers={"Authorization": "Bearer 4713", "X-Seen": "seen"}
        )
        tape = repr(made.tape.take())
    made.stop()
    for told in ("X-Own: ‹secret›", "Cookie: ‹secret›", "Authorization: ‹secret›", "X-Seen: seen"):
        assert told in tape
    assert "text/x-told" in tape
    assert "471" not in tape
