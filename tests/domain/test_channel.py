"""Which contract a `pg` or `channelKey` means, for naru/domain/channel.py (SDK facts §3, 3)."""

from __future__ import annotations

import pytest

from naru.domain.channel import Channel, PgSelector, choose_channel
from naru.domain.errors import NoChannel
from naru.domain.ids import ChannelKey


def channel(
    number: int, pg_code: str, mid: str, *, default: bool = False, kind: str = "payment"
) -> Channel:
    return Channel(
        id=number,
        merchant_id=1,
        channel_key=ChannelKey(f"key-{number}"),
        pg_code=pg_code,
        mid=mid,
        connector="sandbox",
        test=True,
        kind=kind,
        is_default=default,
    )


CHANNELS = [
    channel(1, "html5_inicis", "INIpayTest", default=True),
    channel(2, "html5_inicis", "MOIshop"),
    channel(3, "kcp", "T0000"),
    channel(4, "kcp", "T0001"),
    channel(5, "inicis", "INIBillTst", kind="api_payment"),
    channel(6, "danal", "A01", kind="certification", default=True),
]


@pytest.mark.parametrize(
    ("pg", "number"),
    [
        (None, 1),
        ("", 1),
        ("html5_inicis", 1),
        ("html5_inicis.MOIshop", 2),
        ("html5_inicis.nobody", 1),
        ("kcp", 3),
        ("kcp.", 3),
        ("kcp.T0001", 4),
        ("kcp.t0001", 1),
        ("kcp.nobody", 1),
        ("KCP", 1),
        ("unknown", 1),
        ("unknown.T0000", 1),
        (".T0000", 1),
        ("kcp.T0001.x", 1),
        ("inicis", 1),
        ("\x00", 1),
    ],
)
def test_pg_finds_a_channel(pg: str | None, number: int) -> None:
    assert choose_channel(CHANNELS, pg=pg).id == number


def test_a_channel_key_wins_and_must_exist() -> None:
    assert choose_channel(CHANNELS, channel_key="key-4", pg="html5_inicis").id == 4
    for unknown in ("key-9", "KEY-4", "key-5"):
        with pytest.raises(NoChannel):
            choose_channel(CHANNELS, channel_key=unknown, pg="kcp")


def test_each_kind_has_its_own_default() -> None:
    assert choose_channel(CHANNELS, pg="danal").id == 1
    assert choose_channel(CHANNELS, pg="kcp", kind="certification").id == 6
    assert choose_channel(CHANNELS, kind="api_payment").id == 5
    with pytest.raises(NoChannel):
        choose_channel([], pg="kcp")


def test_a_mid_may_hold_dots() -> None:
    assert PgSelector.read("kcp.A.B") == PgSelector("kcp", "A.B")
