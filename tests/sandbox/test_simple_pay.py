"""A PIN by positions on a shuffled keypad; five errors lock, however many come at once."""

from __future__ import annotations

import asyncio

import pytest

from tests.sandbox.stage import Json, Member, Pg, Window

CARD = "simple-shinhan"


async def keypad(window: Window, card_id: str = CARD) -> Json:
    return await window.ok("/simple/keypad", {"card_id": card_id})


def typed(pad: Json, pin: str) -> Json:
    positions = [pad["layout"].index(int(digit)) for digit in pin]
    return {"session": pad["session"], "positions": positions, "installment_months": 0}


async def test_the_right_pin_pays(member: Member) -> None:
    window = await member.open(pay_method="card")
    cards = (await window.ok("/simple/cards"))["cards"]
    assert {card["issuer_name"] for card in cards} >= {"신한카드", "카카오뱅크카드"}
    finished = await window.ok("/simple/pin", typed(await keypad(window), "159753"))
    approval = await window.approve(finished)
    assert approval["card"]["number"] == "451842******5679"


async def test_every_keypad_is_shuffled_anew(member: Member) -> None:
    window = await member.open(pay_method="card")
    pads = [await keypad(window) for _ in range(8)]
    assert all(sorted(pad["layout"]) == list(range(10)) for pad in pads)
    assert len({tuple(pad["layout"]) for pad in pads}) > 1


@pytest.mark.fault("B2_RO", "B2_WD")
async def test_a_keypad_is_good_once_and_only_in_its_window(pg: Pg, member: Member) -> None:
    window, other = await member.open(pay_method="card"), await member.open(pay_method="card")
    pad = await keypad(window)
    assert (await other.no("/simple/pin", typed(pad, "159753")))["code"] == "KEYPAD_DEAD"
    assert (await window.no("/simple/pin", typed(pad, "000000")))["code"] == "PIN_WRONG"
    assert (await window.no("/simple/pin", typed(pad, "159753")))["code"] == "KEYPAD_DEAD"
    pad = await keypad(window)
    pg.clock.ahead += 301
    assert (await window.no("/simple/pin", typed(pad, "159753")))["code"] == "KEYPAD_DEAD"


@pytest.mark.fault("B2_DU")
async def test_five_errors_lock_the_card_in_every_window(member: Member) -> None:
    window = await member.open(pay_method="card")
    for left in (4, 3, 2, 1):
        answer = await window.no("/simple/pin", typed(await keypad(window), "000000"))
        assert (answer["code"], answer["attempts_left"]) == ("PIN_WRONG", left)
    answer = await window.no("/simple/pin", typed(await keypad(window), "000000"))
    assert answer["code"] == "PIN_LOCKED"
    other = await member.open(pay_method="card")
    assert (await other.no("/simple/keypad", {"card_id": CARD}))["code"] == "PIN_LOCKED"


async def test_the_right_pin_forgives_the_wrong_ones(member: Member) -> None:
    window = await member.open(pay_method="card")
    for _ in range(4):
        await window.no("/simple/pin", typed(await keypad(window), "000000"))
    await window.ok("/simple/pin", typed(await keypad(window), "159753"))
    other = await member.open(pay_method="card")
    assert (await keypad(other))["attempts_left"] == 5


@pytest.mark.fault("B2_DU")
async def test_sixty_four_guesses_at_once_are_five(member: Member) -> None:
    windows = await asyncio.gather(*(member.open(pay_method="card") for _ in range(64)))
    pads = await asyncio.gather(*(keypad(window) for window in windows))
    answers = await asyncio.gather(
        *(
            window.no("/simple/pin", typed(pad, f"{n:06d}"))
            for n, (window, pad) in enumerate(zip(windows, pads, strict=True))
        )
    )
    assert sorted(a["attempts_left"] for a in answers if a["code"] == "PIN_WRONG") == [1, 2, 3, 4]
    assert [answer["code"] for answer in answers].count("PIN_LOCKED") == 60


@pytest.mark.fault("B2_DU")
async def test_the_sixth_is_refused_though_it_is_right_wherever_it_comes_from(
    pg: Pg, member: Member
) -> None:
    """Keypads were given to windows of two merchants beforehand; the count is the card's own."""
    stranger = await pg.member("another-shop")
    right = [await each.open(pay_method="card") for each in (member, stranger)]
    pads = [await keypad(window) for window in right]
    windows = [await each.open(pay_method="card") for each in (member, stranger) for _ in range(3)]
    wrong = [await keypad(window) for window in windows]

    answers = await asyncio.gather(
        *(
            window.no("/simple/pin", typed(pad, "000000"))
            for window, pad in zip(windows, wrong, strict=True)
        )
    )
    late = [
        await window.no("/simple/pin", typed(pad, "159753"))
        for window, pad in zip(right, pads, strict=True)
    ]

    assert sorted(answer["code"] for answer in answers) == ["PIN_LOCKED"] * 2 + ["PIN_WRONG"] * 4
    assert [answer["code"] for answer in late] == ["PIN_LOCKED"] * 2


async def test_a_card_of_another_style_has_no_keypad(member: Member) -> None:
    window = await member.open(pay_method="card")
    for card_id in ("mpi-shinhan", "nobody"):
        answer = await window.no("/simple/keypad", {"card_id": card_id})
        assert answer["code"] == "CARD_UNKNOWN"
