"""naru/rest/coerce.py: one row per value that a client may send, and what becomes of it."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from naru.rest import coerce as rules
from naru.rest.coerce import Text, coerce
from naru.rest.envelope import HttpRefusal
from naru.rest.read_fields import Field, read_form, read_json

REFUSED = object()


class Everything(msgspec.Struct, rename={"from_time": "from"}):
    text: Annotated[str, Text(40)] | None = None
    cut: Annotated[str, Text(16, cut=True)] | None = None
    number: Annotated[str | int | Decimal, rules.number] | None = None
    whole: Annotated[int, rules.whole] | None = None
    flag: Annotated[bool, rules.flag] | None = None
    texts: Annotated[tuple[str, ...], rules.texts] = ()
    json_text: Annotated[str, rules.json_text] | None = None
    from_time: Annotated[int, rules.whole] | None = None


class Inner(msgspec.Struct):
    requester: Annotated[str, Text(10)] = "admin"


class Outer(msgspec.Struct):
    merchant_uid: Annotated[str, Text(40)]
    extra: Inner = msgspec.field(default_factory=Inner)


RULES: list[tuple[str, Field, object]] = [
    # text
    ("text", "order_1", "order_1"),
    ("text", 1004, "1004"),
    ("text", Decimal("1.50"), "1.50"),
    ("text", "", None),
    ("text", None, None),
    ("text", "가" * 40, "가" * 40),
    ("text", "a" * 41, REFUSED),
    ("text", True, REFUSED),
    ("text", ["a"], REFUSED),
    ("text", {"a": "b"}, REFUSED),
    ("cut", "가" * 17, "가" * 16),
    # number: the spellings of an amount
    ("number", 1004, 1004),
    ("number", "1004", "1004"),
    ("number", " 1004 ", "1004"),
    ("number", "100.0", "100.0"),
    ("number", Decimal("100.0"), Decimal("100.0")),
    ("number", Decimal("1e3"), Decimal("1e3")),
    ("number", "0", "0"),
    ("number", "", None),
    ("number", "1e3", REFUSED),
    ("number", "1,004", REFUSED),
    ("number", "1_004", REFUSED),
    ("number", "-5", REFUSED),
    ("number", "+5", REFUSED),
    ("number", "0x10", REFUSED),
    ("number", "１００", REFUSED),
    ("number", "NaN", REFUSED),
    ("number", "천원", REFUSED),
    ("number", "9" * 17, REFUSED),
    ("number", True, REFUSED),
    ("number", [1004], REFUSED),
    ("number", {"minor": 1004}, REFUSED),
    # whole
    ("whole", 7, 7),
    ("whole", "7", 7),
    ("whole", Decimal("7.0"), 7),
    ("whole", "-1", -1),
    ("whole", Decimal("7.5"), REFUSED),
    ("whole", "7.0", REFUSED),
    ("whole", 10**12, REFUSED),
    ("whole", Decimal("1e400"), REFUSED),
    ("whole", "1e3", REFUSED),
    ("whole", True, REFUSED),
    # flag
    ("flag", True, True),
    ("flag", "true", True),
    ("flag", "True", True),
    ("flag", "1", True),
    ("flag", 1, True),
    ("flag", False, False),
    ("flag", "false", False),
    ("flag", "0", False),
    ("flag", 0, False),
    ("flag", "", None),
    ("flag", "yes", REFUSED),
    ("flag", 2, REFUSED),
    ("flag", [], REFUSED),
    # texts
    ("texts", ["a", 1], ("a", "1")),
    ("texts", "a", ("a",)),
    ("texts", ["a", ""], ("a",)),
    ("texts", {"x": "a"}, REFUSED),
    ("texts", [["a"]], REFUSED),
    # custom_data
    ("json_text", '{"a": 1}', '{"a": 1}'),
    ("json_text", {"이름": [1, Decimal("1.5"), None, True]}, '{"이름":[1,1.5,null,true]}'),
    ("json_text", Decimal("1e400"), '"1E+400"'),
    ("json_text", 5, "5"),
]


@pytest.mark.parametrize(("name", "value", "expected"), RULES)
def test_every_value_has_one_rule(name: str, value: Field, expected: Any) -> None:
    if expected is REFUSED:
        with pytest.raises(HttpRefusal) as refused:
            coerce(Everything, {name: value})
        assert refused.value.status == 400
        assert name in refused.value.message
    elif expected is None:
        assert coerce(Everything, {name: value}) == Everything()
    else:
        coerced = getattr(coerce(Everything, {name: value}), name)
        assert coerced == expected
        assert type(coerced) is type(expected)


def test_a_list_comes_the_same_from_json_and_from_every_kind_of_form() -> None:
    for fields in (
        read_json(b'{"texts": ["a", "b"]}'),
        read_form(b"texts[]=a&texts[]=b"),
        read_form(b"texts[1]=b&texts[0]=a"),
        read_form(b"texts=a&texts=b"),
    ):
        assert coerce(Everything, fields).texts == ("a", "b")


def test_a_field_given_twice_counts_once_with_its_last_value() -> None:
    assert coerce(Everything, read_form(b"text=a&text=b")).text == "b"


def test_a_field_that_python_cannot_spell_keeps_its_name_on_the_wire() -> None:
    assert coerce(Everything, {"from": "5"}).from_time == 5


def test_a_missing_or_empty_required_field_is_named() -> None:
    for fields in ({}, {"merchant_uid": ""}, {"merchant_uid": None}):
        with pytest.raises(HttpRefusal, match="merchant_uid") as refused:
            coerce(Outer, fields)
        assert refused.value.status == 400


def test_nested_fields_are_read_from_json_and_from_forms() -> None:
    for fields in (
        read_json(b'{"merchant_uid": "m", "extra": {"requester": "customer"}}'),
        read_form(b"merchant_uid=m&extra[requester]=customer"),
    ):
        assert coerce(Outer, fields).extra.requester == "customer"
    with pytest.raises(HttpRefusal):
        coerce(Outer, {"merchant_uid": "m", "extra": "customer"})


def test_a_request_field_without_a_rule_is_a_mistake_of_ours() -> None:
    class Forgotten(msgspec.Struct):
        amount: int

    with pytest.raises(TypeError, match="rule"):
        coerce(Forgotten, {"amount": 1})


def test_unknown_fields_are_ignored() -> None:
    assert coerce(Everything, {"no_such_field": {"a": "b"}}) == Everything()
