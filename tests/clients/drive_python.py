"""The Python clients, run by the interpreter that has them: `drive_python.py rest_client|django`.

Facts come in NARU_FACTS; one line of JSON goes out for each call, as from js/tell.js.
"""

import itertools
import json
import os
import sys
import time

FACTS = json.loads(os.environ["NARU_FACTS"])
COUNT = itertools.count()
CARD = {
    "card_number": FACTS["card"]["number"],
    "expiry": FACTS["card"]["expiry"],
    "birth": "900101",
    "pwd_2digit": "12",
}


def order():
    """An order number that nobody else uses."""
    return f"{FACTS['prefix']}{next(COUNT)}"


def fits(wanted, actual):
    """Does `actual` hold everything that `wanted` names? A function is asked."""
    if callable(wanted):
        return bool(wanted(actual))
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(fits(v, actual.get(k)) for k, v in wanted.items())
    return wanted == actual


def call(name, ask, wanted):
    """Make one call of a client and tell what came of it."""
    try:
        answer = ask()
    except Exception as error:
        tell(name, False, refused=refusal_of(error))
        return None
    tell(name, fits(wanted, answer), answer=answer)
    return answer


def refused(name, ask, words):
    """The same, of a call that must be refused with these words."""
    try:
        answer = ask()
    except Exception as error:
        tell(name, words in refusal_of(error), refused=refusal_of(error))
    else:
        tell(name, False, answer=answer)


def refusal_of(error):
    return f"{type(error).__name__} {error} {vars(error)}"


def tell(name, fitting, **what):
    sys.stdout.write(json.dumps({"call": name, "fits": fitting, **what}, default=str) + "\n")


def rest_client():
    """PyPI `iamport-rest-client`: every method, with `imp_url` changed."""
    from iamport import Iamport

    imp = Iamport(FACTS["key"], FACTS["secret"], imp_url=FACTS["base"] + "/")
    customer, later = f"{FACTS['prefix']}customer", order()
    announced, paid = order(), order()

    call("prepare", lambda: imp.prepare(announced, 1000), {"amount": 1000})
    call("prepare_validate", lambda: imp.prepare_validate(announced, 1000), lambda ok: ok is True)
    refused("prepare", lambda: imp.prepare(announced, 1000), "이미 등록된 merchant_uid입니다")

    payment = call(
        "pay_onetime",
        lambda: imp.pay_onetime(merchant_uid=paid, amount=5000, name="나루 우산", **CARD),
        {"status": "paid", "amount": 5000, "channel": "api"},
    )
    uid = payment["imp_uid"]
    refused(
        "pay_onetime",
        lambda: imp.pay_onetime(
            merchant_uid=order(), amount=5000, **CARD | {"card_number": FACTS["card"]["wrong"]}
        ),
        "카드정보 인증에 실패하였습니다.",
    )
    foreign = {"card_number": CARD["card_number"], "expiry": CARD["expiry"]}
    call(
        "pay_foreign",
        lambda: imp.pay_foreign(merchant_uid=order(), amount=400, **foreign),
        {"status": "paid"},
    )
    call("find", lambda: imp.find(imp_uid=uid), {"imp_uid": uid})
    call("find_by_imp_uid", lambda: imp.find_by_imp_uid(uid), {"merchant_uid": paid})
    refused("find_by_imp_uid", lambda: imp.find_by_imp_uid("test"), "404")
    call("find_by_merchant_uid", lambda: imp.find_by_merchant_uid(paid), {"imp_uid": uid})
    # This release cannot ask it of anybody: it calls its own `_get` with a wrong name.
    refused("find_by_status", lambda: imp.find_by_status("paid"), "TypeError")
    call("is_paid", lambda: imp.is_paid(5000, imp_uid=uid), lambda ok: ok is True)
    call("is_paid", lambda: imp.is_paid(4999, imp_uid=uid), lambda ok: ok is False)
    call(
        "cancel",
        lambda: imp.cancel("변심", imp_uid=uid, amount=1000, checksum=5000),
        {"cancel_amount": 1000},
    )
    call(
        "cancel_by_merchant_uid",
        lambda: imp.cancel_by_merchant_uid(paid, "변심", amount=1000),
        {"cancel_amount": 2000},
    )
    call(
        "cancel_by_imp_uid",
        lambda: imp.cancel_by_imp_uid(uid, "변심"),
        {"cancel_amount": 5000, "status": "cancelled"},
    )
    refused("cancel", lambda: imp.cancel("변심", imp_uid=uid), "이미 전액취소된 주문입니다.")
    refused("cancel", lambda: imp.cancel("변심", imp_uid="nope"), "존재하지 않습니다")

    call(
        "customer_create",
        lambda: imp.customer_create(customer_uid=customer, **CARD),
        {"customer_uid": customer},
    )
    refused(
        "customer_create",
        lambda: imp.customer_create(
            customer_uid="bad", **CARD | {"card_number": FACTS["card"]["wrong"]}
        ),
        "카드정보 인증 및 빌키 발급에 실패하였습니다.",
    )
    call("customer_get", lambda: imp.customer_get(customer), {"customer_uid": customer})
    call(
        "pay_again",
        lambda: imp.pay_again(customer_uid=customer, merchant_uid=order(), amount=2000),
        {"status": "paid"},
    )
    at = int(time.time()) + 3_600
    schedule = {"merchant_uid": later, "schedule_at": at, "amount": 3000}
    call(
        "pay_schedule",
        lambda: imp.pay_schedule(customer_uid=customer, schedules=[schedule]),
        lambda all_: all_[0]["schedule_status"] == "scheduled",
    )
    call(
        "pay_schedule_get",
        lambda: imp.pay_schedule_get(later),
        {"merchant_uid": later, "schedule_at": at},
    )
    call(
        "pay_schedule_get_between",
        lambda: imp.pay_schedule_get_between(schedule_from=at - 60, schedule_to=at + 60),
        {"list": lambda all_: later in {each["merchant_uid"] for each in all_}},
    )
    call(
        "pay_unschedule",
        lambda: imp.pay_unschedule(customer_uid=customer, merchant_uid=later),
        lambda all_: all_[0]["schedule_status"] == "revoked",
    )
    refused(
        "pay_unschedule",
        lambda: imp.pay_unschedule(customer_uid=customer),
        "취소할 예약결제 기록이 존재하지 않습니다.",
    )
    call("customer_delete", lambda: imp.customer_delete(customer), {"customer_uid": customer})
    refused("customer_get", lambda: imp.customer_get(customer), "등록된 정보를 찾을 수 없습니다.")

    call(
        "revoke_vbank_by_imp_uid",
        lambda: imp.revoke_vbank_by_imp_uid(FACTS["account"]),
        {"status": "failed"},
    )
    person = FACTS["certified"].pop()
    call("find_certification", lambda: imp.find_certification(person), {"certified": True})
    call("cancel_certification", lambda: imp.cancel_certification(person), {"imp_uid": person})
    refused("find_certification", lambda: imp.find_certification(person), "404")
    own = {"get_response", "get_headers"}  # its inner parts, that all others use
    return [
        name
        for name in dir(imp)
        if callable(getattr(imp, name)) and name[0].islower() and name not in own
    ]


def django():
    """PyPI `django-iamport`: its REST side, with its endpoint changed. It asks with `//` in the path."""
    from django.conf import settings

    settings.configure(
        DEBUG=False, PAYMENT_REST_KEY=FACTS["key"], PAYMENT_REST_SECRET=FACTS["secret"]
    )
    from payment import iamport_rest

    iamport_rest.IAMPORT_API_ENDPOINT = FACTS["base"] + "/"
    imp = iamport_rest.IamportRest()
    call("auth", imp.auth, lambda ok: ok is True)
    announced = order()
    call("prepare", lambda: imp.prepare(announced, 1000), lambda ok: ok is True)
    call("prepare", lambda: imp.prepare(announced, 1000), lambda ok: ok is False)
    paid = FACTS["paid"].pop()
    call("payment", lambda: imp.payment(paid), {"imp_uid": paid, "status": "paid"})
    call("payment", lambda: imp.payment("imp_000000000000"), lambda ok: ok is False)
    merchant_uid = imp.payment(paid)["merchant_uid"]
    call("cancel", lambda: imp.cancel(paid, merchant_uid, "변심"), lambda ok: ok is True)
    call("cancel", lambda: imp.cancel(paid, merchant_uid, "변심"), lambda ok: ok is False)
    person = FACTS["certified"].pop()
    call("certification", lambda: imp.certification(person), {"certified": True})
    return ["auth", "prepare", "payment", "cancel", "certification"]


if __name__ == "__main__":
    surface = {"rest_client": rest_client, "django": django}[sys.argv[1]]()
    sys.stdout.write(json.dumps({"surface": surface}) + "\n")
