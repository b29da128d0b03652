"""`GET /vbanks/holder`: whose account a number is. A path of V1 that clients still call. REST §3."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from naru.connectors import Can
from naru.domain.channel import choose_channel
from naru.domain.errors import NotSupported, OutcomeUnknown, PgRefused
from naru.domain.outcome import Declined, NotFound, Unknown
from naru.rest import messages
from naru.rest.codes import bank_code
from naru.rest.coerce import Text, malformed
from naru.rest.envelope import Answer, HttpRefusal, success
from naru.rest.opening import merchant_and_channels
from naru.rest.operation import Call, Operation

_NUMBER = re.compile(r"[0-9]{6,20}")


class FindHolder(msgspec.Struct):
    """What `GET /vbanks/holder` takes: a bank's code in any spelling, a number with or without hyphens."""

    bank_code: Annotated[str, bank_code]
    bank_num: Annotated[str, Text(40)]


class VbankHolderAnnotation(msgspec.Struct, frozen=True):
    """Who holds the account."""

    bank_holder: str


async def find_holder(call: Call, request: FindHolder) -> Answer:
    """Ask the PG of the merchant's default channel; 404 for a number of nobody."""
    number = re.sub(r"[\s-]", "", request.bank_num)
    if not _NUMBER.fullmatch(number):
        raise malformed("bank_num")
    _, channels = await merchant_and_channels(call)
    channel = choose_channel(channels)
    connector = call.gateway.connector_of(channel)
    if Can.LOOK_UP not in connector.can:
        raise NotSupported(messages.NO_HOLDER_LOOKUP)
    with call.gateway.pg_load.asking(channel.id):
        found = await connector.account_holder(channel, request.bank_code, number)
    match found:
        case NotFound():
            raise HttpRefusal(404, messages.NO_HOLDER)
        case Declined(code=code, message=message):
            raise PgRefused(code, message)
        case Unknown():
            raise OutcomeUnknown(messages.NO_LOOKUP_ANSWER)
        case str():
            return success(VbankHolderAnnotation(found))


OPERATIONS = (
    Operation(
        "GET",
        "/vbanks/holder",
        FindHolder,
        "예금주 조회 (이전 경로)",
        "vbanks",
        find_holder,
        answer=VbankHolderAnnotation,
        english="Whose bank account a number is (an old path)",
    ),
)
