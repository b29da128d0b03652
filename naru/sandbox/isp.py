"""ISP: a certificate for a card registered beforehand, and a signature over one payment.

The sandbox is its own certificate world: a root authority, one authority per ISP card company
below it, and under those the buyers' certificates (X.509, ECDSA P-256). The buyer's browser makes
the key pair and never gives the private half away; the card company asks it to sign a challenge
that names the order, the amount and the card, good for one use within three minutes.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from naru.sandbox import cards, mpi, window
from naru.sandbox.door import json_response
from naru.sandbox.ledger import Book
from naru.sandbox.orders import Months, Order
from naru.sandbox.vault import Vault

CHALLENGE_SECONDS = 180
CERTIFICATE_DAYS = 365
AUTHORITY_DAYS = 20 * 365
ENROL_HEADING = "naru-sandbox-isp-enrol/1"
CHALLENGE_HEADING = "naru-sandbox-isp-challenge/1"

Base64 = Annotated[str, Meta(max_length=1000)]
CardId = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,40}\Z")]


class NotProved(Exception):
    """A key, a signature or a certificate does not hold. `str()` is the code of the refusal."""


# The authorities


@dataclass(frozen=True, slots=True)
class Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Authorities:
    """The root and the card companies under it, by issuer code."""

    root: Authority
    companies: dict[str, Authority]

    def chain_pem(self, issuer_code: str) -> list[str]:
        """The certificates above a buyer's: the card company's, then the root's."""
        return [_pem(self.companies[issuer_code].certificate), _pem(self.root.certificate)]


def open_authorities(book: Book, now: int) -> Authorities:
    """Deed: read the authorities, or make them at the first start."""
    root = _read_authority(book, "ca root")
    if root is None:
        root = _new_authority("Naru Sandbox Root CA", None, now)
        _keep_authority(book, "ca root", root)
    companies: dict[str, Authority] = {}
    for code in sorted({card.issuer_code for card in cards.CARDS if card.auth == "isp"}):
        company = _read_authority(book, f"ca {code}")
        if company is None:
            company = _new_authority(f"{cards.ISSUERS[code]} Sandbox ISP CA", root, now)
            _keep_authority(book, f"ca {code}", company)
        companies[code] = company
    return Authorities(root, companies)


def _read_authority(book: Book, name: str) -> Authority | None:
    pem = book.secret(name)
    if pem is None:
        return None
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Authority(key, x509.load_pem_x509_certificate(pem))


def _keep_authority(book: Book, name: str, authority: Authority) -> None:
    key = authority.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    book.keep_secret(name, key + _pem(authority.certificate).encode())


def _new_authority(name: str, above: Authority | None, now: int) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KR"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Naru Sandbox"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    signer = key if above is None else above.key
    builder = _builder(
        subject,
        subject if above is None else above.certificate.subject,
        key.public_key(),
        signer.public_key(),
        now,
        AUTHORITY_DAYS,
    )
    builder = builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=1 if above is None else 0), critical=True
    ).add_extension(_key_usage(authority=True), critical=True)
    return Authority(key, builder.sign(signer, hashes.SHA256()))


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    now: int,
    days: int,
) -> x509.CertificateBuilder:
    start = datetime.fromtimestamp(now, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # Clocks differ; a certificate is good a minute before it was made.
        .not_valid_before(start - timedelta(minutes=1))
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _serial(certificate: x509.Certificate) -> str:
    return f"{certificate.serial_number:x}"


# What is proved


def read_public_key(text: str) -> ec.EllipticCurvePublicKey:
    """An SPKI key in base64, on P-256. Raises NotProved."""
    try:
        key = serialization.load_der_public_key(_unbase64(text))
    except Exception:
        # The parser reports a broken or exotic key in many ways; all of them mean no.
        raise NotProved("KEY_UNREADABLE") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NotProved("KEY_UNREADABLE")
    return key


def check_signature(key: ec.EllipticCurvePublicKey, signature: str, content: bytes) -> None:
    """Check a WebCrypto signature: base64 of r and s, 32 bytes each. Raises NotProved."""
    raw = _unbase64(signature)
    if len(raw) != 64:
        raise NotProved("SIGNATURE_WRONG")
    halves = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    try:
        key.verify(encode_dss_signature(*halves), content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise NotProved("SIGNATURE_WRONG") from None


def check_certificate(authorities: Authorities, pem: str, now: int) -> x509.Certificate:
    """Follow the chain up to our root and look at every date. Raises NotProved."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        issuer = certificate.issuer
        authority = next(
            company.certificate
            for company in authorities.companies.values()
            if company.certificate.subject == issuer
        )
        root = authorities.root.certificate
        certificate.verify_directly_issued_by(authority)
        authority.verify_directly_issued_by(root)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except Exception:
        # A certificate from a stranger may be wrong in any way; none of them is our failure.
        raise NotProved("CERTIFICATE_UNTRUSTED") from None
    if constraints.ca or not usage.digital_signature:
        raise NotProved("CERTIFICATE_UNTRUSTED")
    moment = datetime.fromtimestamp(now, UTC)
    for link in (certificate, authority, root):
        if not link.not_valid_before_utc <= moment <= link.not_valid_after_utc:
            raise NotProved("CERTIFICATE_EXPIRED")
    return certificate


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotProved("NOT_BASE64") from None


_SENTENCES = {
    "KEY_UNREADABLE": "인증서 공개키를 읽을 수 없습니다.",
    "NOT_BASE64": "전자서명 형식이 올바르지 않습니다.",
    "SIGNATURE_WRONG": "전자서명이 올바르지 않습니다.",
    "CERTIFICATE_UNTRUSTED": "신뢰할 수 없는 인증서입니다.",
    "CERTIFICATE_EXPIRED": "유효기간이 지난 인증서입니다.",
    "CERTIFICATE_REVOKED": "폐기된 인증서입니다.",
    "CERTIFICATE_UNKNOWN": "등록되지 않은 인증서입니다.",
    "CHALLENGE_DEAD": "인증 요청이 만료되었거나 이미 사용되었습니다.",
    "CARD_UNKNOWN": "카드 정보가 올바르지 않습니다.",
}


def _refused(code: str) -> window.Refused:
    return window.Refused(code, _SENTENCES[code])


# /isp/enrol


class EnrolAsk(msgspec.Struct):
    public_key: Base64
    proof: Base64
    card_id: CardId | None = None
    card_number: mpi.CardNumber | None = None


async def enrol(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, EnrolAsk)
    outcome = await company.ledger.write(
        _enrol, company.vault, company.authorities, window_id, ask, company.now()
    )
    if isinstance(outcome, window.Refused):
        return window.answer(company, outcome, window_id)
    card, certificate = outcome
    return json_response(
        {
            "ok": True,
            "serial": _serial(certificate),
            "certificate_pem": _pem(certificate),
            "chain_pem": company.authorities.chain_pem(card.issuer_code),
            "card_id": card.id,
            "masked": card.masked,
            "issuer_code": card.issuer_code,
            "not_after": int(certificate.not_valid_after_utc.timestamp()),
        }
    )


def _enrol(
    book: Book, vault: Vault, authorities: Authorities, window_id: str, ask: EnrolAsk, now: int
) -> tuple[cards.Card, x509.Certificate] | window.Refused:
    order = window.open_order(book, window_id, "card", now)
    if isinstance(order, window.Refused):
        return order
    named = ask.card_id or ask.card_number or ""
    number = "".join(digit for digit in ask.card_number or "" if digit.isdigit())
    row = book.card(ask.card_id) if ask.card_id else book.card_by_number(vault.number_mac(number))
    card = None if row is None else cards.CARD_BY_ID.get(row["id"])
    if card is None or card.auth != "isp":
        return _refused("CARD_UNKNOWN")
    try:
        key = read_public_key(ask.public_key)
        content = "\n".join((ENROL_HEADING, window_id, named, ask.public_key))
        check_signature(key, ask.proof, content.encode())
    except NotProved as error:
        return _refused(str(error))
    certificate = _certify(authorities.companies[card.issuer_code], card, key, now)
    not_after = int(certificate.not_valid_after_utc.timestamp())
    book.add_certificate(_serial(certificate), card.id, _pem(certificate), not_after)
    return card, certificate


def _certify(
    company: Authority, card: cards.Card, key: ec.EllipticCurvePublicKey, now: int
) -> x509.Certificate:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "KR"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, card.issuer_name),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, card.id),
            x509.NameAttribute(NameOID.COMMON_NAME, card.masked),
        ]
    )
    return (
        _builder(
            subject,
            company.certificate.subject,
            key,
            company.key.public_key(),
            now,
            CERTIFICATE_DAYS,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(company.key, hashes.SHA256())
    )


# /isp/challenge


class ChallengeAsk(msgspec.Struct):
    certificate_serial: Annotated[str, Meta(pattern=r"^[0-9a-f]{1,40}\Z")]


async def challenge(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, ChallengeAsk)
    outcome = await company.ledger.write(
        _challenge, window_id, ask.certificate_serial, company.now()
    )
    if isinstance(outcome, window.Refused):
        return window.answer(company, outcome, window_id)
    challenge_id, content = outcome
    return json_response(
        {
            "ok": True,
            "challenge_id": challenge_id,
            "bytes": base64.b64encode(content).decode(),
            "expires_at": company.now() + CHALLENGE_SECONDS,
        }
    )


def _challenge(
    book: Book, window_id: str, serial: str, now: int
) -> tuple[str, bytes] | window.Refused:
    order = window.open_order(book, window_id, "card", now)
    if isinstance(order, window.Refused):
        return order
    certificate = book.certificate(serial)
    if certificate is None:
        return _refused("CERTIFICATE_UNKNOWN")
    if certificate["revoked_at"] is not None:
        return _refused("CERTIFICATE_REVOKED")
    challenge_id, expires_at = secrets.token_urlsafe(16), now + CHALLENGE_SECONDS
    content = challenge_content(order, challenge_id, serial, certificate["card_id"], expires_at)
    book.add_challenge(challenge_id, window_id, serial, content, expires_at)
    return challenge_id, content


def challenge_content(
    order: Order, challenge_id: str, serial: str, card_id: str, expires_at: int
) -> bytes:
    """What the buyer signs, one fact a line; no field can hold a line break."""
    return "\n".join(
        (
            CHALLENGE_HEADING,
            f"nonce={challenge_id}.{secrets.token_hex(32)}",
            f"mid={order.mid}",
            f"order_no={order.order_no}",
            f"amount={order.amount}",
            f"currency={order.currency}",
            f"card={card_id}",
            f"certificate={serial}",
            f"expires={expires_at}",
        )
    ).encode()


# /isp/answer


class ChallengeAnswer(msgspec.Struct):
    challenge_id: Annotated[str, Meta(max_length=60)]
    signature: Base64
    certificate_pem: Annotated[str, Meta(max_length=8000)]
    installment_months: Months = 0


async def answer(request: Request) -> Response:
    company, window_id, ask = await window.read_window(request, ChallengeAnswer)
    verdict = await company.ledger.write(_check, company.authorities, window_id, ask, company.now())
    return window.answer(company, verdict, window_id)


def _check(
    book: Book, authorities: Authorities, window_id: str, ask: ChallengeAnswer, now: int
) -> window.Verdict:
    order = window.open_order(book, window_id, "card", now)
    if isinstance(order, window.Refused):
        return order
    months = window.months_refusal(order, ask.installment_months)
    if months is not None:
        return months
    # Taken before anything is looked at: a challenge is spent by a wrong answer, too.
    asked = book.use_challenge(ask.challenge_id, window_id, now)
    try:
        if asked is None:
            raise NotProved("CHALLENGE_DEAD")
        certificate = check_certificate(authorities, ask.certificate_pem, now)
        known = book.certificate(_serial(certificate))
        if known is None or known["serial"] != asked["serial"]:
            raise NotProved("CERTIFICATE_UNKNOWN")
        if known["revoked_at"] is not None:
            raise NotProved("CERTIFICATE_REVOKED")
        key = certificate.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise NotProved("KEY_UNREADABLE")
        check_signature(key, ask.signature, asked["content"])
    except NotProved as error:
        return window.refuse(book, order, _refused(str(error)))
    card = cards.CARD_BY_ID[known["card_id"]]
    means = mpi.means_of(card, ask.installment_months)
    return window.accept(book, order, means, now, card.scenario)
