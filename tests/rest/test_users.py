"""naru/rest/users.py: the merchant's channels."""

from __future__ import annotations

import pytest

from tests.rest.conftest import Desk


@pytest.mark.operation("GET /users/pg")
async def test_channels_are_listed_without_the_pgs_keys(desk: Desk) -> None:
    channel = desk.shop.channel

    answer = await desk.ask("GET", "/users/pg")

    assert answer.response == [
        {
            "channel_key": channel.channel_key,
            "channel_name": f"{desk.shop.merchant.name} KCP",
            "pg_id": channel.mid,
            "pg_provider": "kcp",
            "sandbox": True,
            "type": "payment",
        }
    ]
    assert channel.settings["secret"].encode() not in answer.raw
