"""naru/rest/envelope.py: the bytes that PHP would send."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.rest.envelope import HttpRefusal, php_json, refusal, refusal_of, success

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('가a/"\\\n', max_size=4), inner),
    max_leaves=20,
)


@given(json_values)
def test_php_json_says_the_same_and_is_ascii(value: object) -> None:
    body = php_json(value)

    assert json.loads(body) == value
    assert body.isascii()
    assert b"/" not in body.replace(b"\\/", b"")


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ({"b": 1, "a": None}, b'{"a":null,"b":1}'),
        ("https://naru.example/x", b'"https:\\/\\/naru.example\\/x"'),
        ("존재", b'"\\uc874\\uc7ac"'),
        ("😀", b'"\\ud83d\\ude00"'),
        ("café 커피", b'"caf\\u00e9 \\ucee4\\ud53c"'),
        ("\x7f\x80߿\uffff", b'"\x7f\\u0080\\u07ff\\uffff"'),
        ('"\\/', b'"\\"\\\\\\/"'),
        ([1004, 12.5, True], b"[1004,12.5,true]"),
    ],
)
def test_php_json_is_php_to_the_byte(value: object, body: bytes) -> None:
    assert php_json(value) == body


def test_a_success_and_a_refusal_have_the_three_keys_in_order() -> None:
    assert success({"imp_uid": "imp_1"}).body == (
        b'{"code":0,"message":null,"response":{"imp_uid":"imp_1"}}'
    )
    assert refusal("한도초과", code=1).status == 200
    assert json.loads(refusal("한도초과", code=1).body) == {
        "code": 1,
        "message": "한도초과",
        "response": None,
    }


def test_a_refusal_by_status_has_code_minus_one_and_keeps_its_headers() -> None:
    answer = refusal_of(HttpRefusal(405, "아니오", ((b"allow", b"POST"),)))

    assert answer.status == 405
    assert msgspec.json.decode(answer.body) == {"code": -1, "message": "아니오", "response": None}
    assert answer.headers == ((b"allow", b"POST"),)
