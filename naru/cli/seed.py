"""The demo's merchant, and sandbox channels for any merchant. Repeating it changes nothing.

The API pair and the user codes are the ones that i'mport's public documents use in their samples,
so that existing sample code runs against the demo as written. They are public: never for real money.
"""

import asyncio
import dataclasses
import hmac
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from naru.cli import fresh
from naru.cli.trouble import CliError

if TYPE_CHECKING:
    from naru.domain.channel import Channel
    from naru.domain.merchant import Merchant
    from naru.store import Session, Store

IMP_KEY = "imp_apikey"
IMP_KEY_TOO = "imp_apiKey"  # the same pair, as some clients of i'mport spell it in their defaults
IMP_SECRET = "ekKoeW8RyKuT0zgaZsUtXXTLQ4AhPFW3ZGseDA6bkA5lamv9OqDMnxyeB9wqOsuO9W3Mx9YSJ4dTqJ3f"  # noqa: S105  # public
USER_CODES = ["imp00000000", "iamport", "impXXXXXXXXX"]
WEBHOOK_PATH = "/payments/webhook"
DEFAULT_PG = "html5_inicis"
API_PG = "nice"  # for cards without a window
JOIN_TOGETHER = 16


async def demo_merchant(
    store: "Store", *, sandbox_url: str, shop_url: str, root_key: bytes
) -> "Merchant":
    """The demo's merchant, made the first time; its addresses follow the ports of today."""
    from naru.domain.ids import hash_secret

    async with store.begin() as session:
        merchant = await session.merchants.by_user_code(USER_CODES[0])
        if merchant is None:
            merchant_id = await session.merchants.add(
                "나루 상점", USER_CODES, live=False, webhook_secret=fresh.webhook_secret()
            )
            await session.merchants.add_key(merchant_id, IMP_KEY, hash_secret(IMP_SECRET))
            merchant = await session.merchants.get(merchant_id)
            assert merchant is not None
            merchant = dataclasses.replace(
                merchant,
                allowed_origins=("loopback",),
                allowed_return_origins=("loopback",),
                allowed_webhook_origins=("loopback",),
            )
        if not {IMP_KEY_TOO} & {
            key["imp_key"] for key in await session.merchants.keys(merchant.id)
        }:
            await session.merchants.add_key(merchant.id, IMP_KEY_TOO, hash_secret(IMP_SECRET))
        # An address that somebody else chose for the merchant stays.
        if merchant.webhook_url is None or merchant.webhook_url.endswith(WEBHOOK_PATH):
            merchant = dataclasses.replace(merchant, webhook_url=shop_url + WEBHOOK_PATH)
        await session.merchants.change(merchant)
        await sandbox_channels(session, merchant.id, sandbox_url, root_key)
    return merchant


async def _certification_channels(
    session: "Session", merchant_id: int, sandbox_url: str, root_key: bytes
) -> None:
    """One channel at the sandbox's identity company for every pg code that certifies; danal is the default."""
    from naru.domain.certification import CERTIFIERS

    # What each contract lets the merchant know, so that all of it can be seen in the demo.
    contracts = {"danal": {"foreigner_contract": True}, "kcp_v2": {"phone_approved": True}}
    for each in CERTIFIERS.values():
        await session.channels.add(
            merchant_id,
            fresh.channel_key(),
            each.pg_code,
            each.mid,
            "sandbox",
            test=True,
            settings=_access(sandbox_url, root_key, each.mid) | contracts.get(each.pg_code, {}),
            kind="certification",
            is_default=False,
            name=f"sandbox {each.pg_code} 본인인증",
        )
    channels = await session.channels.of_merchant(merchant_id)
    certifying = [each for each in channels if each.kind == "certification"]
    if not any(each.is_default for each in certifying):
        danal = next(each for each in certifying if each.pg_code == "danal")
        await session.channels.make_default(merchant_id, danal)


async def sandbox_channels(
    session: "Session", merchant_id: int, sandbox_url: str, root_key: bytes
) -> None:
    """One channel at the sandbox PG for every pg code of i'mport, one for cards by API, and those of
    본인인증; those that exist are brought up to date with its address and our key."""
    from naru.domain.pg_profile import PROFILES

    existing = await session.channels.of_merchant(merchant_id)
    kept = {(each.pg_code, each.mid) for each in existing if each.kind == "payment"}
    for channel in existing:
        wanted = channel.settings | _access(sandbox_url, root_key, channel.mid)
        if channel.connector == "sandbox" and channel.settings != wanted:
            await session.channels.change_settings(channel.id, wanted)
    has_default = any(each.is_default and each.kind == "payment" for each in existing)
    for profile in PROFILES.values():
        if (profile.pg_code, profile.mid) in kept:
            continue
        await session.channels.add(
            merchant_id,
            fresh.channel_key(),
            profile.pg_code,
            profile.mid,
            "sandbox",
            test=True,
            settings=_access(sandbox_url, root_key, profile.mid),
            is_default=profile.pg_code == DEFAULT_PG and not has_default,
            name=f"sandbox {profile.pg_code}",
        )
    await _api_channel(session, merchant_id, sandbox_url, root_key)
    await _certification_channels(session, merchant_id, sandbox_url, root_key)


async def _api_channel(
    session: "Session", merchant_id: int, sandbox_url: str, root_key: bytes
) -> None:
    """One channel for cards without a window."""
    from naru.domain.pg_profile import PROFILES

    mid = PROFILES[API_PG].mid
    await session.channels.add(
        merchant_id,
        fresh.channel_key(),
        API_PG,
        mid,
        "sandbox",
        test=True,
        settings=_access(sandbox_url, root_key, mid),
        kind="api_payment",
        is_default=not any(
            each.kind == "api_payment" and each.is_default
            for each in await session.channels.of_merchant(merchant_id)
        ),
        name=f"sandbox {API_PG} API",
    )


def _access(sandbox_url: str, root_key: bytes, mid: str) -> dict[str, str]:
    """Several pg codes and merchants share a MID, and the sandbox knows one secret of each MID."""
    secret = hmac.new(root_key, f"sandbox member {mid}".encode(), "sha256").hexdigest()
    return {"url": sandbox_url, "secret": secret}


async def join_sandbox(channels: Iterable["Channel"]) -> None:
    """Make each sandbox channel's MID a member of the sandbox PG (wire: PUT /v1/members/{mid}).

    Raises CliError when the sandbox PG does not answer or knows the MID with another secret.
    """
    import aiohttp

    gate = asyncio.Semaphore(JOIN_TOGETHER)
    timeout = aiohttp.ClientTimeout(total=20)
    # Two pg codes may name one MID; the sandbox knows a member by its MID alone.
    members = {each.mid: each for each in channels if each.connector == "sandbox"}

    async def join(http: aiohttp.ClientSession, channel: "Channel") -> None:
        url = f"{channel.settings['url']}/v1/members/{channel.mid}"
        body = {
            "secret": channel.settings["secret"],
            "name": f"naru {channel.pg_code}",
            "profile": channel.pg_code,
        }
        async with gate, http.put(url, data=json.dumps(body).encode()) as answer:
            if answer.status == 409:
                raise CliError(
                    f"The sandbox PG knows {channel.mid} with another secret: its data are of "
                    "another demo; remove the file sandbox.sqlite in NARU_HOME and start again."
                )
            if answer.status != 200:
                raise CliError(f"The sandbox PG refused {channel.mid} (HTTP {answer.status}).")

    try:
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await asyncio.gather(*(join(http, channel) for channel in members.values()))
    except (aiohttp.ClientError, TimeoutError) as error:
        where = next((each.settings["url"] for each in members.values()), "")
        raise CliError(
            f"The sandbox PG at {where} does not answer: {type(error).__name__}. Name its address with "
            "--url, or its port with NARU_SANDBOX_PORT; the channels are kept, and repeating this repairs them."
        ) from error
