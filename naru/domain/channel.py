"""A channel: one contract of one merchant with one PG. And how `pg` or `channelKey` find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from naru.domain.errors import NoChannel
from naru.domain.ids import ChannelKey


@dataclass(frozen=True, slots=True)
class Channel:
    """PG code + MID + keys + test or live. `connector` names the translator that speaks for it.

    A sandbox channel has connector `sandbox` and keeps the pg_code whose manners it imitates.
    """

    id: int
    merchant_id: int
    channel_key: ChannelKey
    pg_code: str
    mid: str
    connector: str
    test: bool
    kind: str = "payment"  # payment | api_payment | certification
    is_default: bool = False
    settings: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class PgSelector:
    """`pg: "html5_inicis.INIpayTest"` read into its two parts."""

    pg_code: str
    mid: str | None = None

    @classmethod
    def read(cls, text: str) -> PgSelector:
        pg_code, _, mid = text.partition(".")
        return cls(pg_code, mid or None)


def choose_channel(
    channels: Sequence[Channel],
    *,
    channel_key: str | None = None,
    pg: str | None = None,
    kind: str = "payment",
) -> Channel:
    """The channel that i'mport would take (sdk.md §3.3, rest.md §1.5).

    channelKey wins and must exist. `pg`: exact provider and MID; then the default if it is that
    provider; then, when no MID was named, any of that provider; an unknown `pg` silently means the
    default channel.
    Raises NoChannel when the merchant has none of that kind, or the channelKey is unknown.
    """
    candidates = [channel for channel in channels if channel.kind == kind]
    if channel_key:
        for channel in candidates:
            if channel.channel_key == channel_key:
                return channel
        raise NoChannel
    if not candidates:
        raise NoChannel
    default = next((channel for channel in candidates if channel.is_default), candidates[0])
    if not pg:
        return default
    selector = PgSelector.read(pg)
    same_pg = [channel for channel in candidates if channel.pg_code == selector.pg_code]
    exact = [channel for channel in same_pg if channel.mid == selector.mid]
    if exact:
        return exact[0]
    if default in same_pg:
        return default
    # A MID that nobody has is an unknown `pg`: another contract is not guessed.
    return same_pg[0] if same_pg and selector.mid is None else default


def choose_api_channel(
    channels: Sequence[Channel], *, channel_key: str | None = None, pg: str | None = None
) -> Channel:
    """The channel for a card without a window (rest.md §1.5): one of kind `api_payment`, and where
    the merchant has none that fits, one of kind `payment`.

    channel_key wins and must exist; an unknown `pg` means the default. Raises NoChannel.
    """
    if channel_key:
        for channel in channels:
            if channel.channel_key == channel_key and channel.kind != "certification":
                return channel
        raise NoChannel
    kinds = [kind for kind in ("api_payment", "payment") if any(c.kind == kind for c in channels)]
    if pg:
        selector = PgSelector.read(pg)
        for kind in kinds:
            chosen = choose_channel(channels, pg=pg, kind=kind)
            if chosen.pg_code == selector.pg_code and selector.mid in (None, chosen.mid):
                return chosen
    return choose_channel(channels, kind=kinds[0] if kinds else "api_payment")
