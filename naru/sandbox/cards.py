"""The card companies, banks and carriers of the sandbox, and its test cards.

Codes and names are those of i'mport's code tables (V1 REST facts, 11.1 and 11.2).

Every number here is invented and opens nothing outside the sandbox:
an ISP card needs a certificate issued in the window, an MPI card its number, expiry, CVC and the
안심클릭 password `naru1234`, a simple-pay card the PIN `159753`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CardAuth = Literal["isp", "mpi", "simple"]

MPI_PASSWORD = "naru1234"  # noqa: S105 - printed on the sandbox's first page for everyone
SIMPLE_PIN = "159753"
DEMO_ACCOUNT = {"bank_code": "004", "account_number": "110123456789", "password": "1234"}

ISSUERS: dict[str, str] = {
    "361": "BC카드",
    "381": "KB국민카드",
    "366": "신한카드",
    "365": "삼성카드",
    "367": "현대카드",
    "368": "롯데카드",
    "374": "하나카드",
    "371": "NH카드",
    "041": "우리카드",
    "090": "카카오뱅크카드",
    "092": "토스뱅크카드",
}

BANKS: dict[str, str] = {
    "004": "국민은행",
    "088": "신한은행",
    "020": "우리은행",
    "081": "KEB하나은행",
    "011": "농협은행",
    "003": "기업은행",
    "023": "SC은행",
    "031": "대구은행",
    "032": "부산은행",
    "039": "경남은행",
    "045": "새마을금고중앙회",
    "048": "신협중앙회",
    "071": "우체국",
    "007": "수협중앙회",
    "002": "산업은행",
    "027": "한국씨티은행",
    "034": "광주은행",
    "035": "제주은행",
    "037": "전북은행",
    "089": "케이뱅크",
    "090": "카카오뱅크",
    "092": "토스뱅크",
}

CARRIERS: dict[str, str] = {"SKT": "SKT", "KT": "KT", "LGU": "LG U+", "MVNO": "알뜰폰"}


@dataclass(frozen=True, slots=True)
class Card:
    """A test card; `expiry` is MMYY. `scenario` is what using it causes (magic.py)."""

    id: str
    issuer_code: str
    auth: CardAuth
    number: str
    expiry: str
    cvc: str = "123"
    debit: bool = False
    scenario: str | None = None

    @property
    def issuer_name(self) -> str:
        return ISSUERS[self.issuer_code]

    @property
    def masked(self) -> str:
        return mask(self.number)


def mask(number: str) -> str:
    """Hide digits 7 to 12: `409202******1234`."""
    return f"{number[:6]}******{number[12:]}"


CARDS: tuple[Card, ...] = (
    Card("isp-bc", "361", "isp", "9410001234567801", "1249"),
    Card("isp-kb", "381", "isp", "9490002345678910", "1249"),
    Card("isp-woori", "041", "isp", "5409263456789023", "1249", debit=True),
    Card("isp-bc-expired", "361", "isp", "9410009000000055", "0120", scenario="expired_card"),
    Card("mpi-shinhan", "366", "mpi", "4518421234567811", "1249", cvc="111"),
    Card("mpi-samsung", "365", "mpi", "5310702345678929", "1149", cvc="222"),
    Card("mpi-hyundai", "367", "mpi", "9490133456789038", "1049", cvc="333"),
    Card("mpi-lotte", "368", "mpi", "5181854567890140", "0949", cvc="444"),
    Card("mpi-hana", "374", "mpi", "5461125678901253", "0849", cvc="555", debit=True),
    Card("mpi-nh", "371", "mpi", "5461156789012367", "0749", cvc="666"),
    Card("mpi-limit", "366", "mpi", "4518429000000016", "1249", scenario="limit_exceeded"),
    Card("mpi-balance", "366", "mpi", "4518429000000024", "1249", scenario="balance_short"),
    Card("mpi-lost", "366", "mpi", "4518429000000032", "1249", scenario="lost_card"),
    Card("mpi-stolen", "366", "mpi", "4518429000000040", "1249", scenario="stolen_card"),
    Card("mpi-expired", "366", "mpi", "4518429000000057", "0120", scenario="expired_card"),
    Card("mpi-refused", "366", "mpi", "4092023012341234", "1249", scenario="refused_card"),
    Card("simple-shinhan", "366", "simple", "4518427712345679", "1249"),
    Card("simple-kakaobank", "090", "simple", "5155948812345678", "1249", debit=True),
    Card("simple-kb", "381", "simple", "4902209912345673", "1249"),
    Card("simple-tossbank", "092", "simple", "5177256612345672", "1249", debit=True),
    Card("simple-hyundai", "367", "simple", "9490135512345671", "1249"),
    Card("simple-samsung", "365", "simple", "5310704412345671", "1249"),
)

CARD_BY_ID = {card.id: card for card in CARDS}
