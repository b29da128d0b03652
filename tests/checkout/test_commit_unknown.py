"""What a buyer reads when nobody heard whether a commit happened: "do not pay again", and then the truth.

The verbs' side of these cells is in tests/payments/test_faults_approve.py; here the line to the
database is cut around a COMMIT while a real browser form is under way over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from naru.domain.payment import Payment, Step
from naru.domain.points import listen
from naru.payments.reconcile import reconcile
from tests.checkout.gate import Gate
from tests.checkout.test_faults_answer import all_hear
from tests.support.database_line import Line, over_a_line

pytestmark = pytest.mark.asyncio(loop_scope="session")


@contextmanager
def cut_at(line: Line, point: str, *, done: bool) -> Iterator[None]:
    """The next COMMIT after this point meets the cut, the first time somebody comes by."""

    def reached(name: str) -> None:
        if name == point and not line.cuts:
            line.next_commit(done=done)

    listen(reached)
    try:
        yield
    finally:
        listen(None)


async def worker_ends(gate: Gate, imp_uid: str) -> Payment:
    """The worker looks, until the payment waits for nobody."""
    for seconds in (25, 25, 60, 300, 900):
        gate.house.clock.advance(seconds=seconds)
        await reconcile(gate.house.gateway, imp_uid)
        payment = await gate.house.payment(imp_uid)
        if payment.final:
            return payment
    raise AssertionError(f"{imp_uid} never ended")


@pytest.mark.fault("C3_LR")
@pytest.mark.promise("P12")
@pytest.mark.parametrize("done", [False, True])
async def test_who_may_have_paid_is_told_not_to_pay_again(own_gate: Gate, done: bool) -> None:
    gate = own_gate
    opened = await gate.open()
    form = await gate.authenticate(opened)
    async with over_a_line(gate.house) as line:
        with cut_at(line, "settle.before_commit", done=done):
            answer = await gate.come_back(form)
            html = await answer.text()
        assert line.cuts == 1
    assert answer.status == 503
    assert "다시 결제하지 마세요" in html
    assert "결제되지 않았습니다" not in html
    heard = await gate.result(opened)
    assert heard["state"] == ("final" if done else "checking")
    assert (await worker_ends(gate, opened["imp_uid"])).step is Step.PAID
    await all_hear(gate, opened, form)


@pytest.mark.fault("C1_LR")
@pytest.mark.promise("P12")
@pytest.mark.parametrize("done", [False, True])
async def test_a_claim_nobody_heard_of_is_checked_or_pays_when_the_form_is_sent_again(
    own_gate: Gate, done: bool
) -> None:
    gate = own_gate
    opened = await gate.open()
    form = await gate.authenticate(opened)
    async with over_a_line(gate.house) as line:
        with cut_at(line, "claim.before_commit", done=done):
            answer = await gate.come_back(form)
            html = await answer.text()
        assert line.cuts == 1
    assert answer.status == 503
    assert "다시 결제하지 마세요" in html
    if not done:
        assert (await gate.come_back(form)).status == 303
        await all_hear(gate, opened, form)
        return
    assert (await gate.result(opened))["state"] == "checking"
    # The form sent again hears the same, and takes no money past the question that is open.
    again = await gate.come_back(form)
    assert again.status == 303
    assert (await gate.result(opened))["state"] == "checking"
    assert (await worker_ends(gate, opened["imp_uid"])).step is Step.FAILED
    heard = await gate.result(opened)
    assert heard["state"] == "final"
    assert heard["result"]["success"] is False
    order = (await gate.payment(opened)).merchant_uid
    assert (await gate.open(merchant_uid=str(order)))["imp_uid"] != opened["imp_uid"]
