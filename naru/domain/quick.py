"""Quick pay: members of a shop at its PG, and what the shop announces of an order beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class QuickMember:
    """A person whom the PG knows as a member of this shop."""

    member_id: str
    inserted_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class QuickQuestion:
    """What the PG is asked about a member, by our own number. `kind` is delete_member or release_fido."""

    number: str
    merchant_id: int
    channel_id: int
    kind: str
    member_id: str
    state: str = "asking"
    partner_type: str = ""
    partner_subtype: str = ""
    fail_code: str | None = None
    fail_reason: str | None = None
    asked_at: datetime | None = None
    tries: int = 0
    fence: int = 0
    member: QuickMember | None = None


@dataclass(frozen=True, slots=True)
class QuickPrepared:
    """An order announced beforehand (거래 사전등록). `btid` is the merchant's own number for it."""

    merchant_uid: str
    btid: str
    cust_ip: str = field(repr=False)
    code_verifier: str = field(repr=False)
    prepaid_auth: bool = False
    prepaid_amount: int | None = None
    vender_type: str | None = None
    reward_id: str | None = None
