"""`/cards` and `/banks`: the standard codes. Source: protocol facts, REST §9 and §11.1-2."""

from __future__ import annotations

from typing import Annotated

import msgspec

from naru.domain.codes import BANKS, CARDS
from naru.rest import messages
from naru.rest.annotations import StandardCodeAnnotation
from naru.rest.coerce import Text, malformed
from naru.rest.envelope import Answer, HttpRefusal, success
from naru.rest.operation import Call, Nothing, Operation
from naru.rest.read_fields import Field

_text = Text(10)

# Both tables are small and never change while we run: their answers are made once.
_ALL_CARDS = success([StandardCodeAnnotation(code, name) for code, name in CARDS.items()])
_ALL_BANKS = success([StandardCodeAnnotation(code, name) for code, name in BANKS.items()])


def bank_code(name: str, value: Field) -> str:
    """A coercion rule: a bank's 3-digit standard code, also in the spellings of KCP (`BK88`) and inicis (`88`)."""
    text = _text(name, value).strip().upper().removeprefix("BK").zfill(3)
    if text not in BANKS:
        raise malformed(name)
    return text


class OneCard(msgspec.Struct):
    """A card company by its 3-digit standard code."""

    card_standard_code: Annotated[str, Text()]


class OneBank(msgspec.Struct):
    """A bank by its 3-digit standard code."""

    bank_standard_code: Annotated[str, Text()]


async def list_cards(call: Call, request: Nothing) -> Answer:
    """Every card company."""
    return _ALL_CARDS


async def show_card(call: Call, request: OneCard) -> Answer:
    """One card company; 404 for an unknown code."""
    return _one(CARDS, request.card_standard_code)


async def list_banks(call: Call, request: Nothing) -> Answer:
    """Every bank and securities company."""
    return _ALL_BANKS


async def show_bank(call: Call, request: OneBank) -> Answer:
    """One bank; 404 for an unknown code."""
    return _one(BANKS, request.bank_standard_code)


def _one(table: dict[str, str], code: str) -> Answer:
    if code not in table:
        raise HttpRefusal(404, messages.NO_CODE)
    return success(StandardCodeAnnotation(code, table[code]))


OPERATIONS = (
    Operation(
        "GET",
        "/cards",
        Nothing,
        "카드사 코드 목록",
        "codes",
        list_cards,
        answer=list[StandardCodeAnnotation],
        english="List the card companies",
    ),
    Operation(
        "GET",
        "/cards/{card_standard_code}",
        OneCard,
        "카드사 코드 조회",
        "codes",
        show_card,
        answer=StandardCodeAnnotation,
        english="Look up a card company",
    ),
    Operation(
        "GET",
        "/banks",
        Nothing,
        "은행 코드 목록",
        "codes",
        list_banks,
        answer=list[StandardCodeAnnotation],
        english="List the banks",
    ),
    Operation(
        "GET",
        "/banks/{bank_standard_code}",
        OneBank,
        "은행 코드 조회",
        "codes",
        show_bank,
        answer=StandardCodeAnnotation,
        english="Look up a bank",
    ),
)
