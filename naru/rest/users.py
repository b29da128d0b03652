"""`/users/pg`: the channels of the merchant. Source: protocol facts, REST §9 and models §9."""

from __future__ import annotations

from naru.rest.annotations import PgSettingAnnotation, channel_annotation
from naru.rest.envelope import Answer, success
from naru.rest.operation import Call, Nothing, Operation


async def list_channels(call: Call, request: Nothing) -> Answer:
    """Every channel, the default one first; never its keys at the PG."""
    async with call.gateway.store.direct() as session:
        named = await session.channels.named_of_merchant(call.merchant_id)
    return success([channel_annotation(channel, name) for name, channel in named])


OPERATIONS = (
    Operation(
        "GET",
        "/users/pg",
        Nothing,
        "PG 설정 목록",
        "users",
        list_channels,
        answer=list[PgSettingAnnotation],
        english="List the channels of the merchant",
    ),
)
