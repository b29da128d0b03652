"""The money rules of the database's triggers, written once more in Python.

WRITTEN_FROM names the text of each trigger function that stands here (or that no simulated process
can meet); a test compares them with schema.sql, so that nobody changes one and forgets the other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import asyncpg

from naru.domain.payment import NEXT, Step

if TYPE_CHECKING:
    from tests.simulation.database import Transaction

Values = dict[str, Any]
Rule = Callable[["Transaction", "Values | None", Values], None]

_STEPS = {(before.value, after.value, event) for (before, event), after in NEXT.items()}
_ABOUT = (
    *(
        "imp_uid",
        "merchant_id",
        "merchant_uid",
        "channel_id",
        "pg_code",
        "mid",
        "sandbox",
        "amount",
    ),
    *("currency", "tax_free", "vat", "confirm_url", "pg_order_no", "started_at"),
)
_ASKED = ("id", "imp_uid", "kind", "number", "amount", "balance_before", "request", "opened_at")
_TOLD_AT = ("webhook_urls", "return_url", "app_scheme", "page_origin", "window_secret_hash")
_CUSTOMER = ("customer_uid", "customer_uid_usage")
_KEY = (
    *("id", "merchant_id", "customer_uid", "channel_id", "pg_code", "mid", "sandbox"),
    *("number", "imp_uid", "asked_at"),
)
_SCHEDULE = (
    *("id", "merchant_id", "merchant_uid", "customer_uid", "channel_id", "number", "amount"),
    *("currency", "tax_free", "vat", "name", "webhook_urls", "asked_at"),
)
_KEY_ENDS = {
    *(("asking", "live"), ("asking", "refused"), ("live", "replaced"), ("live", "deleted")),
}
_RECEIPT_TURNS = {
    *(("asking", "issued"), ("asking", "refused"), ("asking", "cancelling")),
    *(("issued", "cancelling"), ("cancelling", "cancelled"), ("cancelling", "issued")),
}
_RECEIPT = (
    *("id", "merchant_id", "channel_id", "imp_uid", "merchant_uid", "number", "type"),
    *("amount", "tax_free", "vat", "asked_at"),
)
_RECEIPT_TOLD = ("receipt_tid", "apply_num", "receipt_url", "applied_at")
_ERRAND = ("id", "merchant_id", "imp_uid", "kind", "number", "asked_at")
_ACT = ("imp_uid", "round", "number", "subject", "act", "fingerprint", "opened_at")
_ACT_TURNS = {
    *(("planned", "planned"), ("planned", "asking"), ("planned", "refused")),
    *(("asking", "asking"), ("asking", "done"), ("asking", "refused")),
}
_QUESTION = ("number", "merchant_id", "channel_id", "kind", "member_id", "asked_at")
_CANCELLATIONS = ("partly_cancelled", "fully_cancelled")
_FACTS = ("deposited", "approved_late")
_MAY_ASK = {
    ("approve", Step.OPENED),
    ("approve", Step.APPROVING),
    ("issue_account", Step.APPROVING),
    ("cancel", Step.PAID),
    ("close_account", Step.WAITING_DEPOSIT),
}


def broken(sentence: str) -> asyncpg.IntegrityConstraintViolationError:
    """What asyncpg raises when a trigger refuses."""
    return asyncpg.IntegrityConstraintViolationError(sentence)


def keep_payment_birth(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is None and (
        new["step"] != "opened"
        or new["event"] != "opened"
        or new["version"] != 1
        or new["flagged"]
        or new["pg_tid"] is not None
        or new["paid_at"] is not None
    ):
        raise broken(f"payment {new['imp_uid']} must begin as opened")
    if old is None:
        channel = tx.get("channels", new["channel_id"])
        if channel is not None and channel["merchant_id"] != new["merchant_id"]:
            raise broken(f"the channel of payment {new['imp_uid']} belongs to another merchant")


def keep_payment_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is None:
        return
    if not new:
        raise broken("payments are never deleted")
    name = old["imp_uid"]
    if new["version"] != old["version"] + 1:
        raise broken(f"version of {name} must be {old['version'] + 1}")
    if (old["step"], new["step"], new["event"]) not in _STEPS:
        raise broken(f"{new['event']} cannot happen to payment {name} that is {old['step']}")
    if (new["event"] in _CANCELLATIONS) != (new["cancelled"] > old["cancelled"]) or (
        new["cancelled"] < old["cancelled"]
    ):
        raise broken(f"cancelled of {name} rises with a cancellation and never shrinks")
    if new["flagged"] != old["flagged"] and (old["flagged"] or new["event"] not in _FACTS):
        raise broken(f"only a fact of the PG flags payment {name}")
    about = set(_ABOUT) - ({"amount"} if new["event"] == "account_changed" else set())
    if any(new[column] != old[column] for column in about):
        raise broken(f"what payment {name} is about never changes")
    if old["paid_at"] is not None and (
        (new["paid_at"], new["pg_tid"]) != (old["paid_at"], old["pg_tid"])
    ):
        raise broken(f"how payment {name} was paid never changes")


def keep_payment_facts(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is None or not new:
        return
    name = old["imp_uid"]
    if new["cancelled_at"] and new["paid_at"] and new["cancelled_at"] < new["paid_at"]:
        raise broken(f"payment {name} is given back before it is paid")
    if new["event"] == "approved_late" and not any(
        intent["kind"] == "approve" for _, intent in tx.find("intents", ("imp_uid",), name)
    ):
        raise broken(f"no PG was ever asked to approve payment {name}")
    if any(new[column] != old[column] for column in (*_TOLD_AT, *_CUSTOMER)):
        raise broken(f"where payment {name} is told of, and whose customer pays, never changes")


def keep_intent_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is None:
        payment = tx.get("payments", new["imp_uid"])
        assert payment is not None
        if new["state"] != "open" or (new["kind"], payment["step"]) not in _MAY_ASK:
            raise broken(f"a PG is not asked to {new['kind']} {new['imp_uid']}: {payment['step']}")
        balance = payment["amount"] - payment["cancelled"]
        wrong = (
            new["balance_before"] != balance
            if new["kind"] == "cancel"
            else new["amount"] != payment["amount"]
        )
        if wrong:
            raise broken(f"the question about {new['imp_uid']} is not about its amount")
        return
    if not new:
        raise broken("the journal is never deleted")
    if any(new[column] != old[column] for column in _ASKED):
        raise broken(f"what question {old['id']} asks never changes")
    before, after = old["state"], new["state"]
    if (
        before in ("done", "refused", "undone")
        or (before == "undoing" and after not in ("undoing", "undone"))
        or (before != "open" and after == "open")
    ):
        raise broken(f"question {old['id']} is {before} and does not become {after}")


def keep_intent_pace(tx: Transaction, old: Values | None, new: Values) -> None:
    if not new or new["next_try_at"] is None:
        return
    clocks = [at for at in (tx.at, new["tried_at"], new["opened_at"]) if at is not None]
    put_off = old is None or new["next_try_at"] != old["next_try_at"]
    if put_off and new["next_try_at"] > max(clocks) + timedelta(hours=25):
        raise broken(f"the question about {new['imp_uid']} is put off for more than a day")


def keep_watch_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is None:
        return
    if not new:
        raise broken("watches are ended, never deleted")
    if (
        new["imp_uid"] != old["imp_uid"]
        or new["looks"] not in (old["looks"], old["looks"] + 1)
        or (new["looks"] == old["looks"] and old["late_pg_tid"] and not new["late_pg_tid"])
    ):
        raise broken(f"the watch of {old['imp_uid']} goes on look by look")
    payment = tx.get("payments", old["imp_uid"])
    assert payment is not None
    ends = new["next_look_at"] is None and old["next_look_at"] is not None
    if ends and new["looks"] < 4 and payment["step"] == "failed":
        raise broken(f"the watch of {old['imp_uid']} ends too soon")


def date_cancellation(tx: Transaction, old: Values | None, new: Values) -> None:
    new["booked_at"] = tx.db.now()


def keep_key_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is not None and not new:
        raise broken("billing keys end, rows stay")
    if old is None:
        channel = tx.get("channels", new["channel_id"])
        if channel is not None and channel["merchant_id"] != new["merchant_id"]:
            raise broken(f"the channel of key {new['number']} belongs to another merchant")
        payment = None if new["imp_uid"] is None else tx.get("payments", new["imp_uid"])
        came = payment is not None and (
            payment["merchant_id"],
            payment["customer_uid"],
            payment["customer_uid_usage"],
            payment["step"],
        ) == (new["merchant_id"], new["customer_uid"], "issue", "paid")
        if new["state"] != "asking" and not (new["state"] in ("live", "replaced") and came):
            raise broken(f"nobody asked for key {new['number']}")
        return
    if old["state"] != new["state"] and (old["state"], new["state"]) not in _KEY_ENDS:
        raise broken(f"key {old['number']} is {old['state']}, and will not be {new['state']}")
    if any(new[column] != old[column] for column in _KEY):
        raise broken(f"whose key {old['number']} is never changes")


def keep_schedule_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is not None and not new:
        raise broken("schedules are revoked, never deleted")
    if old is None:
        channel = tx.get("channels", new["channel_id"])
        if (
            new["state"] != "scheduled"
            or new["attempt"] != 0
            or (channel is not None and channel["merchant_id"] != new["merchant_id"])
        ):
            raise broken(f"schedule {new['number']} must begin as scheduled")
        return
    name = old["number"]
    if any(new[column] != old[column] for column in _SCHEDULE):
        raise broken(f"what schedule {name} is for never changes")
    if {old["state"], new["state"]} == {"executed", "revoked"}:
        raise broken(f"schedule {name} is {old['state']}, and will not be {new['state']}")
    another = new["imp_uid"] != old["imp_uid"]
    if new["state"] == "executed" and another:
        paid = tx.get("payments", new["imp_uid"])
        early = old["state"] == "scheduled" and new["executed_at"] < old["schedule_at"]
        about = ("merchant_id", "merchant_uid", "customer_uid", "amount", "currency")
        if (
            new["attempt"] != old["attempt"] + 1
            or early
            or paid is None
            or any(paid[column] != new[column] for column in about)
            or paid["customer_uid_usage"] != "payment.scheduled"
            or paid["pg_order_no"] != f"{name}r{new['attempt']}"
        ):
            raise broken(f"payment {new['imp_uid']} is not an attempt of schedule {name}")
    elif new["attempt"] != old["attempt"] or (
        new["state"] == "executed" and new["executed_at"] != old["executed_at"]
    ):
        raise broken(f"schedule {name} was attempted without a payment")
    if old["state"] == "executed" and another:
        before = tx.get("payments", old["imp_uid"])
        if before is None or before["step"] != "failed":
            raise broken(f"payment {old['imp_uid']} of schedule {name} has not failed")


def _of_merchant(tx: Transaction, channel_id: int, merchant_id: int) -> bool:
    channel = tx.get("channels", channel_id)
    return channel is None or bool(channel["merchant_id"] == merchant_id)


def keep_receipt_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is not None and not new:
        raise broken("cash receipts end, rows stay")
    if old is None:
        if new["state"] != "asking" or new["cancels"] != 0:
            raise broken(f"cash receipt {new['number']} begins as a question")
        if not _of_merchant(tx, new["channel_id"], new["merchant_id"]):
            raise broken(f"the channel of cash receipt {new['number']} belongs to another merchant")
        payment = None if new["imp_uid"] is None else tx.get("payments", new["imp_uid"])
        if new["imp_uid"] is not None and (
            payment is None
            or (
                payment["merchant_id"],
                payment["merchant_uid"],
                payment["channel_id"],
                payment["step"],
            )
            != (new["merchant_id"], new["merchant_uid"], new["channel_id"], "paid")
            or payment["currency"] != "KRW"
            or payment["cash_receipt_issued"]
            or payment["amount"] - payment["cancelled"] != new["amount"]
        ):
            raise broken(f"cash receipt {new['number']} is not of what is left of its payment")
        return
    name, turn = old["number"], (old["state"], new["state"])
    if turn[0] != turn[1] and turn not in _RECEIPT_TURNS:
        raise broken(f"cash receipt {name} is {turn[0]}, and will not be {turn[1]}")
    asks_back = turn[1] == "cancelling" != turn[0]
    if new["cancels"] != old["cancels"] + asks_back:
        raise broken(f"cash receipt {name} is taken back under a number for each time")
    if any(new[column] != old[column] for column in _RECEIPT) or (
        old["receipt_tid"] is not None
        and any(new[column] != old[column] for column in _RECEIPT_TOLD)
    ):
        raise broken(f"what cash receipt {name} is about never changes")


def take_receipt_back(tx: Transaction, old: Values | None, new: Values) -> None:
    """After a payment: what was given back whole has no receipt."""
    if old is None or new["step"] != "cancelled" or old["step"] == "cancelled":
        return
    for row, receipt in tx.find("cash_receipts", ("imp_uid",), new["imp_uid"]):
        if receipt["state"] == "issued":
            at = new["cancelled_at"]
            asks = {"state": "cancelling", "cancels": receipt["cancels"] + 1, "tries": 0}
            tx.update("cash_receipts", row, {**asks, "cancel_asked_at": at, "next_try_at": at})


def keep_errand_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is not None and not new:
        raise broken("errands end, rows stay")
    if old is None:
        payment = tx.get("payments", new["imp_uid"])
        steps = ("waiting_deposit",) if new["kind"] == "change_account" else ("paid", "cancelled")
        if (
            new["state"] != "asking"
            or payment is None
            or payment["merchant_id"] != new["merchant_id"]
            or payment["step"] not in steps
            or not (payment["escrow"] or new["kind"] in ("change_account", "split_slip"))
        ):
            raise broken(f"errand {new['number']} is not of a payment that may have one")
        return
    if old["state"] != new["state"] and old["state"] != "asking":
        raise broken(f"errand {old['number']} has ended")
    ended = () if old["state"] == "asking" else ("became", "ended_at")
    if any(new[column] != old[column] for column in (*_ERRAND, *ended)):
        raise broken(f"what errand {old['number']} is about never changes")


def keep_act_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is None:
        if new["state"] not in ("planned", "asking"):
            raise broken(f"act {new['number']} begins before it ends")
        return
    if not new:
        raise broken("rows of acts stay")
    if (old["state"], new["state"]) not in _ACT_TURNS:
        raise broken(f"act {old['number']} is {old['state']}, and will not be {new['state']}")
    if any(new[column] != old[column] for column in _ACT):
        raise broken(f"what act {old['number']} is about never changes")


def keep_card_check_rules(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is None:
        return
    if not new or new["imp_uid"] != old["imp_uid"] or old["ended_at"] is not None:
        raise broken(f"the check of {old['imp_uid']} ends once")
    payment = tx.get("payments", new["imp_uid"])
    if new["ended_at"] is not None and (
        payment is None or payment["step"] not in ("failed", "cancelled")
    ):
        raise broken(f"the money of the check {old['imp_uid']} was not given back")


def keep_quick_questions(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is None:
        return
    if not new or old["state"] != "asking" or any(new[c] != old[c] for c in _QUESTION):
        raise broken(f"question {old['number']} is ended once, and never changes")


def refuse_change(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is not None:
        raise broken("rows of this table are never changed")


def refuse_delete(tx: Transaction, old: Values | None, new: Values) -> None:
    if old is not None and not new:
        raise broken("rows of this table are never deleted")


RULES: dict[str, Rule] = {
    "keep_payment_birth": keep_payment_birth,
    "keep_payment_rules": keep_payment_rules,
    "keep_payment_facts": keep_payment_facts,
    "keep_intent_rules": keep_intent_rules,
    "keep_key_rules": keep_key_rules,
    "keep_schedule_rules": keep_schedule_rules,
    "keep_intent_pace": keep_intent_pace,
    "keep_watch_rules": keep_watch_rules,
    "date_cancellation": date_cancellation,
    "keep_receipt_rules": keep_receipt_rules,
    "keep_errand_rules": keep_errand_rules,
    "keep_act_rules": keep_act_rules,
    "keep_card_check_rules": keep_card_check_rules,
    "keep_quick_questions": keep_quick_questions,
    "refuse_change": refuse_change,
    "refuse_change_by_delete": refuse_delete,
}
# Those that run after the change, and change another table.
RULES_AFTER: dict[str, Rule] = {"take_receipt_back": take_receipt_back}

# Trigger function -> the mark of the text that was read. Deferred ones stand in database.py.
WRITTEN_FROM = {
    "compare_cancellations": "548fbf56db21",
    "compare_question": "c6e12d1fd7da",
    "date_cancellation": "06fd364557bc",
    "keep_intent_pace": "e974978924bc",
    "keep_intent_rules": "26c3da53c16c",
    "keep_payment_birth": "3193a477114c",
    "keep_key_rules": "58489b972f73",
    "keep_schedule_rules": "4926a375ec6b",
    "keep_payment_facts": "1c0fe42cb6ee",
    "keep_payment_rules": "e1a642b94d5b",
    "keep_watch_rules": "215a4d1a3b17",
    "keep_act_rules": "6c762de0f812",
    "keep_card_check_rules": "40fcc32240d4",
    "keep_errand_rules": "9ee985c66566",
    "keep_quick_questions": "64877dbaab57",
    "keep_receipt_rules": "322a0b87dd79",
    "take_receipt_back": "09f2f2fcd2cf",
    "refuse_change": "b14e1cd4676e",
    "write_payment_event": "0db74b36eb90",
}
# What others prove: the books, the audit log, seals, keys, tasks', notices' and webhooks' own rules.
ELSEWHERE = {
    *("book_deposit", "book_payment", "book_reservation", "book_return"),
    *("compare_books", "compare_deposit"),
    *("date_webhook_url", "keep_idempotency_rules", "keep_sealed", "keep_task_rules"),
    *("keep_notice", "keep_notice_rules", "keep_witness_rules"),
    *("keep_webhook_rules", "refuse_hand_written", "write_audit_log", "guard_certification"),
}
