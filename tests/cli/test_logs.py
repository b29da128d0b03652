"""The last net under the logs: one record, one line, and no secret in it (G19, P19)."""

from __future__ import annotations

import logging
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.cli.logs import OneLine, escape, scrub
from naru.sandbox.cards import CARDS

SHAPE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|ERROR) naru\.test: ")


def line(message: str, *values: object, known: tuple[str, ...] = (), failure: bool = False) -> str:
    """The record as it would be written."""
    record = logging.LogRecord("naru.test", logging.INFO, __file__, 1, message, values, None)
    if failure:
        try:
            raise ValueError(values[0])
        except ValueError:
            record.exc_info = sys.exc_info()
    return OneLine(known).format(record)


HOSTILE = [
    "x\r\n2026-01-01T00:00:00Z ERROR naru.app: all is lost",
    "x\nY", "x\rY", "x\x0bY", "x\x0cY", "x\x1c\x1d\x1eY", "x\x85Y", "x\u2028Y\u2029Z",
    "x\x00Y", "x\x1b[2J\x1b]0;owned\x07", "x\x08\x08\x08Y", "x\x9b31mY", "x\ud800Y", "x\u202eY", "\ufeff",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_stranger_cannot_begin_a_line_of_their_own(text: str) -> None:
    for written in (
        line("said %s", text),
        line(text),
        line("said %r", text),
        line("%s", text, failure=True),
    ):
        assert len(written.splitlines()) == 1
        assert SHAPE.match(written)
        assert written.isprintable()
        assert not [each for each in written if unicodedata.category(each).startswith("C")]
        written.encode()


@given(st.text())
def test_every_text_is_one_line_and_can_still_be_told(text: str) -> None:
    assert escape(text).isprintable()
    if text.isprintable():
        assert escape(text) == text


def test_a_traceback_stays_on_the_line() -> None:
    written = line("%s", "why", failure=True)
    assert "Traceback" in written
    assert r"\nValueError: why" in written


def test_a_line_that_cannot_be_written_says_so_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    written = line("%d and %d", "4092-CANARY")
    assert "cannot be written (TypeError)" in written
    assert "CANARY" not in written + capsys.readouterr().err


# 4092023012341234 is a number of the sandbox PG with a wrong check digit: no card at all.
CARD_NUMBERS = [
    *sorted({card.number for card in CARDS} - {"4092023012341234"}),
    "4242424242424242", "378282246310005", "6011111111111117", "30569309025904", "4222222222222",
    "6304000000000000000",
]  # fmt: skip


@pytest.mark.parametrize("number", CARD_NUMBERS)
def test_no_card_number_is_written_however_it_is_grouped(number: str) -> None:
    grouped = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
    wide = number.translate({ord("0") + n: ord("０") + n for n in range(10)})
    for text in (number, grouped, grouped.replace(" ", "-"), grouped.replace(" ", "."), wide,
                 f'{{"card_number":"{number}"}}', f"n={number}&x=1", f"카드{number}번"):  # fmt: skip
        written = line("%s", text)
        assert "[card number]" in written
        assert number[-6:] not in written.replace(" ", "").replace("-", "").replace(".", "")


@pytest.mark.parametrize(
    "number",
    ["imp_123456789012", "1700000000", "4242424242424243", "12345678901234567890", "2026-11-22"],
)
def test_other_numbers_stay(number: str) -> None:
    assert scrub(number) == number


@given(st.lists(st.integers(0, 9), min_size=12, max_size=18))
def test_the_check_digit_decides(digits: list[int]) -> None:
    # By the definition: doubled from the right, and the digits of each product added.
    body = "".join(map(str, digits))
    total = sum(
        sum(map(int, str(digit * (2 if place % 2 == 0 else 1))))
        for place, digit in enumerate(reversed(digits))
    )
    check = str(-total % 10)
    wrong = str((int(check) + 1) % 10)
    assert scrub(body + check) == "[card number]"
    assert scrub(body + wrong) == body + wrong


TOKEN = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"GET /payments/imp_1?_token={TOKEN}&x=1", TOKEN),
        ("GET /payments/imp_1?_token=short&x=1", "short"),
        (f"Authorization: Bearer {TOKEN}", TOKEN),
        ("authorization: CANARY", "CANARY"),
        ("b'authorization', 'Authorization Bearer CANARY'", "CANARY"),
        ("X-ImpTokenHeader: CANARY", "CANARY"),
        ('{"access_token":"CANARY","now":1}', "CANARY"),
        ("{'imp_key': 'CANARY1', 'imp_secret': 'CANARY2'}", "CANARY"),
        ("secret=CANARY", "CANARY"),
        ("password: CANARY", "CANARY"),
        ('{"cvc": "123"}', "123"),
        ("key whsec_CANARY+/=", "CANARY"),
        (f"token {TOKEN} of a merchant", TOKEN),
        (TOKEN.upper(), TOKEN.upper()),
        ("postgresql://naru:CANARY@db/naru", "CANARY"),
        ("https://CANARY:@shop.example/", "CANARY"),
        ("-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----", "CANARY"),
        ("-----BEGIN EC PRIVATE KEY-----\nCANARY", "CANARY"),
    ],
)
def test_no_token_and_no_secret_is_written(text: str, secret: str) -> None:
    for written in (line("%s", text), line("%s", text, failure=True)):
        assert secret not in written


def test_the_secrets_of_this_process_are_known_by_their_value() -> None:
    written = line(
        "%s", "key=a key of ours! and a key of ours!!", known=("a key of ours!", "a key of ours!!")
    )
    assert "of ours" not in written
    assert "!" not in written


def test_the_anchor_of_the_audit_log_is_written_whole() -> None:
    anchor = "12:" + "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"
    assert line("audit log anchor %s", anchor).endswith(anchor)
