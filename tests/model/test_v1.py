"""The gateway does what V1's model says, step by step; and a deviation is found."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis.stateful import run_state_machine_as_test

from naru.domain.cancellation import plan_cancellation
from naru.domain.schedule import Schedule
from naru.rest import idempotency
from naru.store.audit import audit
from naru.store.billing_keys import BillingKeys
from naru.store.payments import Payments
from naru.store.schedules import Schedules
from tests.model.bench import Bench
from tests.model.people import PeopleRules
from tests.model.runs import (
    ANNOUNCED_SINCE,
    BARCODE,
    CARD,
    DELETED,
    DOUBTED,
    NOTHING,
    PAID,
    PLANNED,
    PUT_OFF,
    SHORT,
    STEPS_OF_EXAMPLE,
    Begun,
    how,
    narrow,
)
from tests.model.v1 import V1, Payment
from tests.support.scale import often

STEPS = often(1_500, 500_000)


@pytest.mark.promise("P1", "P4", "P6", "P7", "P8", "P10", "P14", "P15", "P16", "P17", "P22", "P24")
def test_the_gateway_is_the_model(bench: Bench) -> None:
    class Run(PeopleRules):
        """This run's own count of steps."""

    Run.bench = bench
    began = time.monotonic()
    while Run.steps < STEPS:
        # An example may be shorter than its limit, so a round may fall a little short.
        left = STEPS - Run.steps
        run_state_machine_as_test(Run, settings=how(left // STEPS_OF_EXAMPLE + 8))  # type: ignore[no-untyped-call]
    seconds = time.monotonic() - began
    print(f"\n{Run.steps} steps in {seconds:.1f} s, {Run.steps / seconds:.0f} steps/s")
    report = bench.run(audit(bench.dsn))
    # The webhooks of the model are owed and never sent: nobody works here, and years go by on a
    # clock that is ahead of the wall's.
    late = ("webhooks_leave", "questions_end", "answers_found", "doubts_looked_at")
    assert [each for each in report.checks if each.broken and each.name not in late] == []


# --- controls: a deviation of the code or of the model is found ---------------------------------


def _checksum_ignored(patch: pytest.MonkeyPatch) -> None:
    """P7: a cancel is planned without looking at its checksum."""
    from naru.payments import cancel

    def plan(payment: Any, request: Any, number: str) -> Any:
        return plan_cancellation(payment, replace(request, checksum=None), number)

    patch.setattr(cancel, "plan_cancellation", plan)


def _merchant_not_asked(patch: pytest.MonkeyPatch) -> None:
    """P10: a cancel finds whatever payment is named."""
    lock, find = Payments.lock, Payments.get

    async def anybodys(self: Payments, imp_uid: str, merchant_id: int) -> Any:
        found = await find(self, imp_uid)
        return await lock(self, imp_uid, merchant_id if found is None else found.merchant_id)

    async def seen(self: Payments, imp_uid: str, merchant_id: int) -> Any:
        return await find(self, imp_uid)

    patch.setattr(Payments, "lock", anybodys)
    patch.setattr(Payments, "get_of_merchant", seen)


def _key_forgotten(patch: pytest.MonkeyPatch) -> None:
    """P6: an answer is not kept with its key, and what was begun is done again."""

    async def fresh(call: Any, operation: Any, request: Any, path: str, key: str) -> Any:
        return await operation.verb(call, request)

    patch.setattr("naru.rest.door.answer_once", fresh)


def _key_of_anything(patch: pytest.MonkeyPatch) -> None:
    """P6: the content of a request is not compared."""
    patch.setattr(idempotency, "fingerprint_of", lambda request: bytes(32))


def _doubt_is_failure(patch: pytest.MonkeyPatch) -> None:
    """P12: an approval whose answer is lost is called failed."""
    from naru.domain.outcome import Declined, Unknown
    from naru.payments import approve

    settle = approve.settle_approval

    async def hasty(gateway: Any, payment: Any, channel: Any, outcome: Any, **more: Any) -> Any:
        if isinstance(outcome, Unknown):
            outcome = Declined("SILENT", "응답 없음")
        return await settle(gateway, payment, channel, outcome, **more)

    patch.setattr(approve, "settle_approval", hasty)


def _announced_amount_is_not_compared(patch: pytest.MonkeyPatch) -> None:
    """P17: what the merchant announced while the window was open stops nobody."""
    from naru.payments import claim

    unasked = Payments.claim_for_approval

    async def alone(self: Payments, *how: Any, order: Any = None) -> Any:
        return await unasked(self, *how)

    patch.setattr(Payments, "claim_for_approval", alone)
    patch.setattr(claim, "check_prepared", lambda *what: None)


def _short_is_enough(patch: pytest.MonkeyPatch) -> None:
    """P16, in the model: a deposit that is one won short pays."""

    def arrived(self: V1, payment: Payment) -> int:
        total = sum(each.amount for each in payment.deposits if each.at <= payment.due)
        return payment.amount if total == payment.amount - 1 else total

    patch.setattr(V1, "arrived", arrived)


def _status_stays_paid(patch: pytest.MonkeyPatch) -> None:
    """The model takes the other reading of a partial cancel's status."""
    patch.setattr(
        Payment,
        "status",
        property(
            lambda self: self.step if self.step in ("paid", "cancelled", "failed") else "ready"
        ),
    )


def _header_of_the_tier_unread(patch: pytest.MonkeyPatch) -> None:
    """P10: an agency's token speaks for the agency, whomever it names."""
    from naru.rest import door

    asks = door.who_asks

    async def blind(gateway: Any, headers: Any, *more: Any) -> Any:
        return await asks(
            gateway, {name: said for name, said in headers.items() if name != b"tier"}, *more
        )

    patch.setattr(door, "who_asks", blind)


def _barcode_is_an_account(patch: pytest.MonkeyPatch) -> None:
    """P8: what a till takes is closed as a bank's account."""
    from naru.rest import vbanks

    close = vbanks.close_virtual_account

    async def either(*how: Any, **more: Any) -> Any:
        return await close(*how, **{**more, "barcode": None})

    patch.setattr(vbanks, "close_virtual_account", either)


def _key_outlives_its_deletion(patch: pytest.MonkeyPatch) -> None:
    """P10: a gateway that remembers a key charges it after it was deleted."""
    get = BillingKeys.get
    known: dict[Any, Any] = {}

    async def remembered(self: BillingKeys, *which: Any) -> Any:
        found = await get(self, *which)
        return known.setdefault(which, found) if found is not None else known.get(which)

    patch.setattr(BillingKeys, "get", remembered)


def _judged_card_is_an_error(patch: pytest.MonkeyPatch) -> None:
    """A17: a card that its company refused is answered as a question that was never put."""
    patch.setattr("naru.rest.subscribe.NOT_ASKED", ("F500", "LIMIT"))


def _doubtful_key_never_was(patch: pytest.MonkeyPatch) -> None:
    """P12: a key whose issue was not answered is called refused."""
    from naru.domain.outcome import Declined, Unknown
    from naru.payments import issue_billing_key

    settle = issue_billing_key.settle_key

    async def hasty(gateway: Any, key: Any, outcome: Any) -> Any:
        if isinstance(outcome, Unknown):
            outcome = Declined("SILENT", "응답 없음")
        return await settle(gateway, key, outcome)

    patch.setattr(issue_billing_key, "settle_key", hasty)


def _plan_stays_where_it_was(patch: pytest.MonkeyPatch) -> None:
    """P15: another time is answered, and never written."""

    async def told(self: Schedules, held: Schedule, schedule_at: Any) -> Schedule:
        return replace(held, schedule_at=schedule_at)

    patch.setattr(Schedules, "move", told)


def _failed_plan_goes_unsaid(patch: pytest.MonkeyPatch) -> None:
    """P4: nobody is told that a schedule's charge was declined."""
    from naru.domain.payment import Step
    from naru.webhooks import announce

    earned = announce._earned
    patch.setattr(
        announce,
        "_earned",
        lambda payment: None if payment.step is Step.FAILED else earned(payment),
    )


def _what_did_not_fail_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    """P15: a schedule that waits is attempted at once."""

    async def unasked(tx: object, held: object) -> None:
        return None

    patch.setattr("naru.payments.run_schedule.must_have_failed", unasked)


# How the run that must find it begins, and what may happen then: all that it takes and little else, so
# that it is found within seconds. The run that must not fail (above) chooses among everything.
CONTROLS: list[tuple[Any, Begun, tuple[str, ...]]] = [
    (_checksum_ignored, PAID, ("cancel",)),
    (_merchant_not_asked, PAID, ("cancel",)),
    (_key_forgotten, NOTHING, ("announce",)),
    (_key_of_anything, NOTHING, ("announce",)),
    (_doubt_is_failure, DOUBTED, ("look", "come_back")),
    (_announced_amount_is_not_compared, ANNOUNCED_SINCE, ("come_back",)),
    (_short_is_enough, SHORT, ("look", "deposit")),
    (_status_stays_paid, PAID, ("cancel", "look")),
    (_header_of_the_tier_unread, NOTHING, ("announce", "look_at_announced")),
    (_barcode_is_an_account, BARCODE, ("close",)),
    (_key_outlives_its_deletion, DELETED, ("charge",)),
    (_judged_card_is_an_error, CARD, ("charge",)),
    (_doubtful_key_never_was, NOTHING, ("keep_card",)),
    (_plan_stays_where_it_was, PUT_OFF, ("look_at_plan",)),
    (_failed_plan_goes_unsaid, PLANNED, ("run_plans", "look_at_plan")),
    (_what_did_not_fail_is_tried_again, PLANNED, ("try_plan_again",)),
]


@pytest.mark.parametrize(
    ("plant", "begun", "rules"), CONTROLS, ids=[each[0].__name__.strip("_") for each in CONTROLS]
)
def test_control_a_deviation_is_found(
    bench: Bench,
    plant: Any,
    begun: Begun,
    rules: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = narrow(begun, rules)
    run.bench = bench
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)) as found:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            run, settings=how(500, 20, phases=[Phase.generate], report_multiple_bugs=False)
        )
    print(f"\n{plant.__name__.strip('_')}: found in {run.examples} examples")  # type: ignore[attr-defined]
    # What is printed is a program that a person can read and run.
    assert "state = Run()" in "\n".join(getattr(found.value, "__notes__", []))


@pytest.mark.parametrize(
    ("begun", "rules"), {str(each[1:]): each[1:] for each in CONTROLS}.values()
)
def test_where_nothing_is_planted_the_controls_find_nothing(
    bench: Bench, begun: Begun, rules: tuple[str, ...]
) -> None:
    run = narrow(begun, rules)
    run.bench = bench
    run_state_machine_as_test(run, settings=how(often(1, 100), 20))  # type: ignore[no-untyped-call]
