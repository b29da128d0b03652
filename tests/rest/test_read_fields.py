"""naru/rest/read_fields.py: what a body says, and every body that says nothing clear."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.rest.envelope import HttpRefusal
from naru.rest.read_fields import DEPTH_MAX, FIELDS_MAX, as_list, read_body, read_form, read_json

JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (b"imp_uid=imp_1&amount=3000", {"imp_uid": "imp_1", "amount": "3000"}),
        (b"extra[requester]=customer", {"extra": {"requester": "customer"}}),
        (b"extra%5Brequester%5D=customer", {"extra": {"requester": "customer"}}),
        (b"imp_uid[]=a&imp_uid[]=b", {"imp_uid": {"0": "a", "1": "b"}}),
        (b"imp_uid[0]=a&imp_uid[1]=b", {"imp_uid": {"0": "a", "1": "b"}}),
        (b"k=a&k=b", {"k": ["a", "b"]}),
        (b"k=a&k[]=b", {"k": {"0": "b"}}),
        (b"name=%EB%8B%B9%EA%B7%BC+10kg", {"name": "당근 10kg"}),
        (b"a=%2B%26%3D&b", {"a": "+&=", "b": ""}),
        (b"&&a=1&", {"a": "1"}),
        (b"a=%zz%2", {"a": "%zz%2"}),
        (b"a[=1&b]=2&[c]=3&d[e=4", {"b]": "2"}),
        (b"", {}),
        (
            b"customer_uid=c&schedules[0][merchant_uid]=m&schedules[0][amount]=10000"
            b"&schedules[0][extra][naverUseCfm]=20201001&schedules[1][merchant_uid]=n",
            {
                "customer_uid": "c",
                "schedules": {
                    "0": {
                        "merchant_uid": "m",
                        "amount": "10000",
                        "extra": {"naverUseCfm": "20201001"},
                    },
                    "1": {"merchant_uid": "n"},
                },
            },
        ),
    ],
)
def test_a_form_nests_as_php_nests_it(form: bytes, fields: dict[str, object]) -> None:
    assert read_form(form) == fields


def test_the_body_says_what_it_is_whatever_its_header_says() -> None:
    for content_type in (JSON, FORM, "", "text/plain"):
        assert read_body(b' {"amount": 1004}', content_type) == {"amount": 1004}
        assert read_body(b"amount=1004", content_type) == {"amount": "1004"}
        assert read_body(b" \r\n", content_type) == {}


def test_another_kind_of_body_is_refused_as_such() -> None:
    for content_type in ("multipart/form-data; boundary=x", "application/xml", "image/png"):
        with pytest.raises(HttpRefusal) as refused:
            read_body(b"amount=1", content_type)
        assert refused.value.status == 415


def test_json_numbers_keep_every_digit() -> None:
    fields = read_json(b'{"a": 1004, "b": 100.0, "c": 1e3, "d": 0.1, "e": 1e400}')

    assert fields == {
        "a": 1004,
        "b": Decimal("100.0"),
        "c": Decimal("1e3"),
        "d": Decimal("0.1"),
        "e": Decimal("1e400"),
    }


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a": 1',
        b"[1, 2]",
        b'[{"a": 1}]',
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1, "a": 2}',
        b'{"e": {"a": 1, "a": 2}}',
        b'{"a": 1e99999999999999999999}',
        b'{"a": ' + b"9" * 5_000 + b"}",
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "b\x00c"}',
        b'{"a": "\\u0000"}',
        b'{"a": "\\ud800"}',
        b'{"\\udc00": 1}',
        b'{"a": ' * 9 + b"1" + b"}" * 9,
        b'{"a": ' * 100_000,
        b'{"a": ' + b"[" * 100_000,
        b'{"a": [' + b"1," * FIELDS_MAX + b"1]}",
        b"a=%00",
        b"a=%ff",
        b"%ff=a",
        b"a=\xff",
        b"a" + b"[b]" * DEPTH_MAX + b"=1",
        b"a=1&" * (FIELDS_MAX + 1),
    ],
)
def test_an_unclear_body_is_refused_with_400(body: bytes) -> None:
    with pytest.raises(HttpRefusal) as refused:
        read_body(body, JSON)
    assert refused.value.status == 400


def test_a_byte_order_mark_before_json_is_skipped() -> None:
    """.NET writes one; it is no part of the text."""
    assert read_body(b'\xef\xbb\xbf{"amount": 1004}', JSON) == {"amount": 1004}


def test_a_whole_emoji_escape_is_text() -> None:
    assert read_json(b'{"a": "\\ud83d\\ude00"}') == {"a": "😀"}


def test_a_list_may_come_in_every_form_that_php_knows() -> None:
    assert as_list(["a", "b"]) == ["a", "b"]
    assert as_list({"1": "b", "0": "a"}) == ["a", "b"]
    assert as_list("a") == ["a"]
    assert as_list({"x": "a"}) is None
    assert as_list({"1000": "a"}) is None


@given(st.binary(max_size=300), st.sampled_from([JSON, FORM, "", "multipart/form-data"]))
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str) -> None:
    assert outcome(read_body, body, content_type) in ("read", 400, 415)


@given(st.text(alphabet="ab[]=&%0\x00é", max_size=60))
def test_any_form_is_read_or_refused(form: str) -> None:
    assert outcome(read_form, form.encode()) in ("read", 400)


def outcome(reader: Callable[..., object], *sent: object) -> object:
    try:
        reader(*sent)
    except HttpRefusal as refused:
        return refused.status
    return "read"
