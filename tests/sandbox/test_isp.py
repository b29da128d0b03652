"""Certificates and challenges: the real cryptography, and every way of cheating at it."""

from __future__ import annotations

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from naru.sandbox.ledger import Book
from tests.sandbox.stage import Browser, Json, Member, Pg, Window


async def opened(member: Member, **changes: object) -> tuple[Window, Browser, Json]:
    window, browser = await member.open(pay_method="card", **changes), Browser()
    return window, browser, await browser.enrol(window)


async def answered(window: Window, browser: Browser, enrolled: Json, **changes: object) -> Json:
    challenge = await window.ok("/isp/challenge", {"certificate_serial": enrolled["serial"]})
    return {
        "challenge_id": challenge["challenge_id"],
        "signature": browser.sign(base64.b64decode(challenge["bytes"])),
        "certificate_pem": enrolled["certificate_pem"],
        "installment_months": 0,
    } | changes


async def test_a_signed_challenge_pays(member: Member) -> None:
    window, browser, enrolled = await opened(member)
    body = await answered(window, browser, enrolled, installment_months=2)
    approval = await window.approve(await window.ok("/isp/answer", body))
    assert approval["card"]["issuer_code"] == "361"
    assert approval["card"]["installment_months"] == 2


async def test_the_chain_goes_up_to_a_root_and_survives_a_second_card(member: Member) -> None:
    window, browser, enrolled = await opened(member)
    certificate, company, root = (
        x509.load_pem_x509_certificate(pem.encode())
        for pem in (enrolled["certificate_pem"], *enrolled["chain_pem"])
    )
    certificate.verify_directly_issued_by(company)
    company.verify_directly_issued_by(root)
    root.verify_directly_issued_by(root)
    other = await browser.enrol(window, "isp-kb")
    assert other["chain_pem"][1] == enrolled["chain_pem"][1]
    assert other["chain_pem"][0] != enrolled["chain_pem"][0]


async def test_a_challenge_names_the_order_and_its_amount(member: Member) -> None:
    window, _, enrolled = await opened(member)
    challenge = await window.ok("/isp/challenge", {"certificate_serial": enrolled["serial"]})
    text = base64.b64decode(challenge["bytes"]).decode()
    lines = dict(line.split("=", 1) for line in text.splitlines()[1:])
    assert lines["order_no"] == window.order_no
    assert lines["amount"] == "64900"
    assert lines["currency"] == "KRW"
    assert lines["card"] == "isp-bc"
    assert lines["certificate"] == enrolled["serial"]


async def test_a_challenge_is_good_once_even_after_a_wrong_answer(member: Member) -> None:
    window, browser, enrolled = await opened(member)
    body = await answered(window, browser, enrolled)
    wrong = body | {"signature": Browser().sign(b"something else")}
    assert (await window.no("/isp/answer", wrong))["code"] == "SIGNATURE_WRONG"
    assert (await window.no("/isp/answer", body))["code"] == "CHALLENGE_DEAD"


@pytest.mark.fault("B2_RO", "B2_WD")
async def test_a_challenge_of_another_window_or_an_old_one_is_dead(pg: Pg, member: Member) -> None:
    window, browser, enrolled = await opened(member)
    other = await member.open(pay_method="card", amount=100)
    body = await answered(other, browser, enrolled)
    assert (await window.no("/isp/answer", body))["code"] == "CHALLENGE_DEAD"
    body = await answered(window, browser, enrolled)
    pg.clock.ahead += 181
    assert (await window.no("/isp/answer", body))["code"] == "CHALLENGE_DEAD"


@pytest.mark.fault("B2_WD")
async def test_another_key_or_another_certificate_does_not_pay(member: Member) -> None:
    window, _, enrolled = await opened(member)
    thief = Browser()
    stolen = await thief.enrol(window)
    body = await answered(window, thief, enrolled)
    assert (await window.no("/isp/answer", body))["code"] == "SIGNATURE_WRONG"
    body = await answered(window, thief, enrolled, certificate_pem=stolen["certificate_pem"])
    assert (await window.no("/isp/answer", body))["code"] == "CERTIFICATE_UNKNOWN"


def forged(browser: Browser, like_pem: str, company_pem: str) -> str:
    """A certificate that copies every name and number, signed by a key of the forger's own."""
    like = x509.load_pem_x509_certificate(like_pem.encode())
    company = x509.load_pem_x509_certificate(company_pem.encode())
    builder = (
        x509.CertificateBuilder()
        .subject_name(like.subject)
        .issuer_name(company.subject)
        .public_key(browser.key.public_key())
        .serial_number(like.serial_number)
        .not_valid_before(like.not_valid_before_utc)
        .not_valid_after(like.not_valid_after_utc)
    )
    for extension in like.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    key = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


async def test_a_forged_certificate_is_untrusted(member: Member) -> None:
    window, _, enrolled = await opened(member)
    thief = Browser()
    pem = forged(thief, enrolled["certificate_pem"], enrolled["chain_pem"][0])
    body = await answered(window, thief, enrolled, certificate_pem=pem)
    assert (await window.no("/isp/answer", body))["code"] == "CERTIFICATE_UNTRUSTED"


async def test_a_self_made_authority_is_untrusted(member: Member) -> None:
    window, browser, enrolled = await opened(member)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "BC카드 Sandbox ISP CA")])
    now = datetime.datetime.now(datetime.UTC)
    own = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(browser.key.public_key())
        .serial_number(int(enrolled["serial"], 16))
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(browser.key, hashes.SHA256())
    )
    pem = own.public_bytes(Encoding.PEM).decode()
    body = await answered(window, browser, enrolled, certificate_pem=pem)
    assert (await window.no("/isp/answer", body))["code"] == "CERTIFICATE_UNTRUSTED"
    above = await answered(window, browser, enrolled, certificate_pem=enrolled["chain_pem"][0])
    assert (await window.no("/isp/answer", above))["code"] == "CERTIFICATE_UNTRUSTED"


async def test_expired_and_revoked_certificates_do_not_pay(pg: Pg, member: Member) -> None:
    _, browser, enrolled = await opened(member)
    pg.clock.ahead += 366 * 86400
    window = await member.open(pay_method="card")
    body = await answered(window, browser, enrolled)
    assert (await window.no("/isp/answer", body))["code"] == "CERTIFICATE_EXPIRED"

    window, browser, enrolled = await opened(member)
    body = await answered(window, browser, enrolled)
    ledger = pg.app.state.company.ledger
    await ledger.write(Book.revoke_certificate, enrolled["serial"], int(pg.clock()))
    assert (await window.no("/isp/answer", body))["code"] == "CERTIFICATE_REVOKED"
    answer = await window.no("/isp/challenge", {"certificate_serial": enrolled["serial"]})
    assert answer["code"] == "CERTIFICATE_REVOKED"


async def test_enrolling_needs_the_private_key_and_an_isp_card(member: Member) -> None:
    window, browser = await member.open(pay_method="card"), Browser()
    body = browser.enrolment(window, "isp-bc")
    other = await member.open(pay_method="card")
    assert (await other.no("/isp/enrol", body))["code"] == "SIGNATURE_WRONG"
    stolen = body | {"public_key": Browser().public_key}
    assert (await window.no("/isp/enrol", stolen))["code"] == "SIGNATURE_WRONG"
    wrong_card = browser.enrolment(window, "mpi-shinhan")
    assert (await window.no("/isp/enrol", wrong_card))["code"] == "CARD_UNKNOWN"
    by_number = browser.enrolment(window, "9410-0012-3456-7801")
    by_number["card_number"] = by_number.pop("card_id")
    assert (await window.ok("/isp/enrol", by_number))["card_id"] == "isp-bc"


@pytest.mark.parametrize("key", ["", "AAAA", "not base64!", "e30=", "한글"])
async def test_unreadable_keys_are_refused(member: Member, key: str) -> None:
    window, browser = await member.open(pay_method="card"), Browser()
    body = browser.enrolment(window, "isp-bc") | {"public_key": key}
    assert (await window.no("/isp/enrol", body))["code"] in ("KEY_UNREADABLE", "NOT_BASE64")


@pytest.mark.fault("B2_WD")
@pytest.mark.parametrize("signature", ["", "AAAA", "****", base64.b64encode(bytes(64)).decode()])
async def test_unreadable_signatures_are_refused(member: Member, signature: str) -> None:
    window, browser, enrolled = await opened(member)
    body = await answered(window, browser, enrolled, signature=signature)
    assert (await window.no("/isp/answer", body))["code"] in ("SIGNATURE_WRONG", "NOT_BASE64")


async def test_an_expired_card_is_refused_at_the_end(member: Member) -> None:
    window, browser = await member.open(pay_method="card"), Browser()
    enrolled = await browser.enrol(window, "isp-bc-expired")
    body = await answered(window, browser, enrolled)
    assert (await window.no("/isp/answer", body))["code"] == "CARD_EXPIRED"
