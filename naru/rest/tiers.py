"""`/tiers`: the tiers (하위 상점) of an agency. Source: protocol facts, REST §9 and models §9.

That a token acts for a tier (`Tier: ABC`) is decided where it is asked who calls: authenticate.py.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from naru.domain.merchant import is_tier_code
from naru.rest import messages
from naru.rest.coerce import Text
from naru.rest.envelope import Answer, HttpRefusal, success
from naru.rest.operation import Call, Operation


class OneTier(msgspec.Struct):
    """A tier by its three characters."""

    tier_code: Annotated[str, Text()]


class TierAnnotation(msgspec.Struct, frozen=True):
    """A tier: its code, and what its agency calls it."""

    tier_code: str
    tier_name: str


async def show(call: Call, request: OneTier) -> Answer:
    """One tier of this agency; 404 for a code that it never gave."""
    found = None
    if is_tier_code(request.tier_code):
        async with call.gateway.store.direct() as session:
            found = await session.tiers.find(call.merchant_id, request.tier_code)
    if found is None:
        raise HttpRefusal(404, messages.NO_TIER)
    return success(TierAnnotation(found.code, found.name))


OPERATIONS = (
    Operation(
        "GET",
        "/tiers/{tier_code}",
        OneTier,
        "하위 상점 정보 조회",
        "tiers",
        show,
        answer=TierAnnotation,
        english="One sub-merchant (tier) of this agency.",
    ),
)
