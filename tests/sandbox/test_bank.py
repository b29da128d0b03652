"""Bank transfer with the demo account."""

from __future__ import annotations

from tests.sandbox.stage import Member

ACCOUNT = {"bank_code": "004", "account_number": "110-123456789", "password": "1234"}


async def test_a_transfer_is_approved_with_its_bank(member: Member) -> None:
    window = await member.open(pay_method="trans")
    approval = await window.approve(await window.ok("/trans", ACCOUNT))
    assert approval["bank"] == {"code": "004", "name": "국민은행"}
    assert approval["card"] is None


async def test_wrong_passwords_run_out(member: Member) -> None:
    window = await member.open(pay_method="trans")
    for left in (4, 3, 2, 1, 0):
        answer = await window.no("/trans", ACCOUNT | {"password": "0000"})
        assert answer["attempts_left"] == left
    assert (await window.no("/trans", ACCOUNT))["code"] == "ACCOUNT_LOCKED"


async def test_an_unknown_bank_is_refused(member: Member) -> None:
    window = await member.open(pay_method="trans")
    assert (await window.no("/trans", ACCOUNT | {"bank_code": "999"}))["code"] == "UNKNOWN_BANK"
