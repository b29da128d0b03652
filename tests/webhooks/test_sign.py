"""Signatures that the library of the standard accepts, for naru/webhooks/sign.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from naru.webhooks.sign import read_secrets, signature_headers

OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW = "whsec_plJ3nmyCDGBKInavdOK15jsl2LaLaSwK"
BODY = '{"imp_uid":"imp_1","merchant_uid":"주문","status":"paid"}'.encode()


@pytest.mark.promise("P21")
def test_the_standard_library_accepts_the_signature() -> None:
    headers = signature_headers([NEW], "msg_1", BODY, datetime.now(UTC))
    assert Webhook(NEW).verify(BODY, headers)["status"] == "paid"


def test_the_standards_own_example_is_signed_alike() -> None:
    moment = datetime.fromtimestamp(1614265330, UTC)
    headers = signature_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        moment,
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.promise("P21")
def test_another_body_or_another_secret_is_not_accepted() -> None:
    headers = signature_headers([NEW], "msg_1", BODY, datetime.now(UTC))
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY.replace(b"paid", b"fail"), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(BODY, headers)


@pytest.mark.fault("L4_SL")
@pytest.mark.promise("P21")
def test_while_secrets_change_both_verify() -> None:
    headers = signature_headers(read_secrets(f"{NEW} {OLD}"), "msg_1", BODY, datetime.now(UTC))
    for secret in (NEW, OLD):
        Webhook(secret).verify(BODY, headers)


def test_a_clock_in_seoul_signs_the_same_moment() -> None:
    moment = datetime(2026, 1, 1, 9, 0, tzinfo=timezone(timedelta(hours=9)))
    there = signature_headers([NEW], "msg_1", BODY, moment)
    here = signature_headers([NEW], "msg_1", BODY, moment.astimezone(UTC))
    assert there == here
    assert there["webhook-timestamp"] == str(int(moment.timestamp()))


def test_without_a_secret_there_is_no_signature() -> None:
    headers = signature_headers(read_secrets(None), "msg_1", BODY, datetime.now(UTC))
    assert set(headers) == {"webhook-id", "webhook-timestamp"}


def test_a_secret_that_cannot_be_read_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        signature_headers(["whsec_ä"], "msg_1", BODY, datetime.now(UTC))
