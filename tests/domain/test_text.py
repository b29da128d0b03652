"""What can be kept as it came, for naru/domain/text.py, ids.py and codes.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.domain.codes import BANKS, CARDS
from naru.domain.ids import RandomIds, hash_secret, is_merchant_uid
from naru.domain.text import clean, is_storable

NESTED: Any = []
for _ in range(100):
    NESTED = [NESTED]


@pytest.mark.parametrize("value", ["\x00", "a\x00b", "\ud800", float("nan"), NESTED])
def test_what_a_database_cannot_keep_is_found_wherever_it_hides(value: Any) -> None:
    for wrapped in (value, [value], (value,), {"a": {"b": [value]}}):
        assert not is_storable(wrapped)
    if isinstance(value, str):
        assert not is_storable({value: 1})


@pytest.mark.parametrize("value", ["", "가", "\n\t", "😀", None, 1, 1.5, True, [], {"a": ["b"]}])
def test_ordinary_values_are_kept(value: Any) -> None:
    assert is_storable(value)


@given(st.text())
def test_cleaned_words_can_be_kept_and_stay_clean(text: str) -> None:
    cleaned = clean(text)
    assert is_storable(cleaned)
    assert clean(cleaned) == cleaned
    assert cleaned.encode().decode() == cleaned


@pytest.mark.parametrize("text", ["a", "o_1", "가" * 40, "a b", "<script>", "'; --", "😀"])
def test_an_order_number_is_the_merchants_own_business(text: str) -> None:
    assert is_merchant_uid(text)


@pytest.mark.parametrize(
    "text", ["", "x" * 41, "a\x00", "a\n", "\x7f", "\x85", "\u2028", "\ud800", "a\r"]
)
def test_but_it_has_no_control_characters_and_an_end(text: str) -> None:
    assert not is_merchant_uid(text)


def test_new_names_have_their_form_and_do_not_repeat() -> None:
    ids = RandomIds()
    made = [
        (ids.imp_uid(), ids.api_imp_uid(), ids.pg_order_no(), ids.cancel_no(), ids.secret())
        for _ in range(200)
    ]
    for imp_uid, api_imp_uid, order, cancel, secret in made:
        assert imp_uid[:4] == "imp_"
        assert api_imp_uid[:5] == "imps_"
        assert (len(imp_uid), len(api_imp_uid), len(secret)) == (16, 17, 40)
        assert (order + cancel).isalnum()
    assert len({name for row in made for name in row}) == 1000
    assert len(hash_secret("\ud800")) == 32


def test_card_and_bank_codes_are_whole() -> None:
    assert (CARDS["361"], CARDS["366"], BANKS["004"]) == ("BC카드", "신한카드", "국민은행")
    assert all(name.endswith("카드") for name in CARDS.values())
    assert all(len(code) == 3 and code.isdigit() for code in BANKS)
    assert len(set(BANKS.values())) == len(BANKS)
