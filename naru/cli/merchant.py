"""`naru merchant …`: merchants, their API keys, and what they allow."""

import argparse
import asyncio
import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from naru.cli import database, find, fresh
from naru.cli.trouble import CliError
from naru.config import Settings

if TYPE_CHECKING:
    from naru.domain.merchant import Merchant
    from naru.store import Session

LISTS = {
    "page": "allowed_origins",
    "return": "allowed_return_origins",
    "webhook": "allowed_webhook_origins",
    "app-scheme": "allowed_app_schemes",
}
SETTINGS = (
    "name", "live", "allow_test_channels", "webhook_url", "webhook_format", "webhook_mode",
    "confirm_url",
)  # fmt: skip
_USER_CODE = re.compile(r"[A-Za-z0-9_-]{3,40}")


ALONE = "list"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `naru merchant`."""
    parser.epilog = (
        'for example:  naru merchant add "My shop" --origin https://shop.example.com\n'
        "              naru merchant set imp12345678 webhook_url https://shop.example.com/hook\n"
        '              naru merchant tier add imp12345678 ABC "A shop of my agency"\n'
        "A MERCHANT is its id or its 가맹점식별코드 (impXXXXXXXX). Secrets are shown once, when made."
    )
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)

    add = verbs.add_parser("add", help="a new merchant with its first API key")
    add.add_argument("name")
    add.add_argument("--user-code", help="its 가맹점식별코드 (default: a new one)")
    add.add_argument(
        "--origin", action="append", default=[], metavar="ORIGIN",
        help="a site that may open payments and be returned to, such as https://shop.example.com",
    )  # fmt: skip
    add.add_argument("--webhook-url", help="where its webhooks go")
    add.add_argument(
        "--live", action="store_true", help="real money: test channels are refused from now on"
    )

    verbs.add_parser("list", help="every merchant")

    show = verbs.add_parser("show", help="one merchant's settings, keys and user codes")
    show.add_argument("merchant")

    key = verbs.add_parser("key", help="API keys").add_subparsers(
        metavar="ADD|REVOKE", dest="what", required=True
    )
    key_add = key.add_parser("add", help="one more API key; the old ones stay valid")
    key_add.add_argument("merchant")
    key_revoke = key.add_parser("revoke", help="a key and its token die at once")
    key_revoke.add_argument("imp_key")

    secret = verbs.add_parser("webhook-secret", help="what signs webhooks").add_subparsers(
        metavar="NEW|RETIRE", dest="what", required=True
    )
    secret_new = secret.add_parser("new", help="one more: until the old one is retired both sign")
    secret_new.add_argument("merchant")
    secret_retire = secret.add_parser("retire", help="only the newest signs from now on")
    secret_retire.add_argument("merchant")

    for verb, words in (("allow-origin", "allow"), ("forbid-origin", "no longer allow")):
        allow = verbs.add_parser(verb, help=f"{words} a site, an address or an app scheme")
        allow.add_argument("merchant")
        allow.add_argument("origin", help="https://host[:port], or the words loopback and null")
        allow.add_argument(
            "--for", dest="purpose", choices=sorted(LISTS), action="append",
            help="page opens payments, return is m_redirect_url, webhook is notice_url and "
            "confirm_url (default: page and return)",
        )  # fmt: skip

    change = verbs.add_parser("set", help=f"change a setting: {', '.join(SETTINGS)}")
    change.add_argument("merchant")
    change.add_argument("setting", choices=SETTINGS)
    change.add_argument("value", help="an empty text takes an address away")

    tier = verbs.add_parser("tier", help="tiers (하위 상점) of an agency").add_subparsers(
        metavar="ADD|LIST", dest="what", required=True
    )
    tier_add = tier.add_parser(
        "add",
        help="make a new merchant that this agency's token acts for, with the header Tier: CODE",
        description="Makes a new merchant, 하위 상점, that this agency's token acts for with the header Tier:"
        " CODE. It begins with the agency's settings and without channels; a merchant that exists"
        " already cannot become a tier.",
    )
    tier_add.add_argument("merchant", help="the agency")
    tier_add.add_argument("tier_code", help="three of A-Z and 0-9, such as ABC")
    tier_add.add_argument("name", help="of the new merchant")
    tier_list = tier.add_parser("list", help="the tiers of an agency")
    tier_list.add_argument("merchant", help="the agency")

    code = verbs.add_parser("add-user-code", help="one more 가맹점식별코드 for a merchant")
    code.add_argument("merchant")
    code.add_argument("user_code")


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the verb says; print what a person needs to know."""
    asyncio.run(_run(arguments, settings))
    return 0


async def _run(arguments: argparse.Namespace, settings: Settings) -> None:
    verb = arguments.verb
    if verb in ("key", "webhook-secret", "tier"):
        verb = f"{verb} {arguments.what}"
    async with database.open_store(settings) as store, store.begin() as session:
        match verb:
            case "add":
                await _add(session, arguments)
            case "list":
                await _list(session)
            case "show":
                await _show(session, arguments.merchant)
            case "key add":
                merchant = await find.merchant(session, arguments.merchant)
                await _add_key(session, merchant.id)
            case "key revoke":
                await _revoke_key(session, arguments.imp_key)
            case "webhook-secret new":
                await _new_webhook_secret(session, arguments.merchant)
            case "webhook-secret retire":
                await _retire_webhook_secret(session, arguments.merchant)
            case "tier add":
                await _add_tier(session, arguments)
            case "tier list":
                await _list_tiers(session, arguments.merchant)
            case "add-user-code":
                await _add_user_code(session, arguments)
            case "set":
                await _set(session, arguments)
            case _:
                await _allow(session, arguments, allowed=verb == "allow-origin")


async def _add(session: "Session", arguments: argparse.Namespace) -> None:
    import asyncpg

    origins = tuple(_origin(each, "page") for each in arguments.origin)
    user_code = _user_code(arguments.user_code or fresh.user_code())
    name = _text(arguments.name)
    webhook_secret = fresh.webhook_secret()
    try:
        merchant_id = await session.merchants.add(
            name, [user_code], live=arguments.live, webhook_secret=webhook_secret
        )
    except asyncpg.UniqueViolationError:
        raise CliError(f"The user code {user_code} belongs to another merchant.") from None
    merchant = await session.merchants.get(merchant_id)
    assert merchant is not None
    changed = dataclasses.replace(
        merchant,
        allowed_origins=origins,
        allowed_return_origins=origins,
        allowed_webhook_origins=origins,
        webhook_url=_address(arguments.webhook_url) if arguments.webhook_url else None,
    )
    await session.merchants.change(changed)
    print(f"merchant        {merchant_id}  {name}")
    print(f"user code       {user_code}")
    await _add_key(session, merchant_id)
    print(f"webhook secret  {webhook_secret}")
    if not origins:
        print(f"No site may open payments yet: naru merchant allow-origin {user_code} https://…")


async def _add_key(session: "Session", merchant_id: int) -> None:
    from naru.domain.ids import hash_secret

    imp_key, imp_secret = fresh.api_key()
    await session.merchants.add_key(merchant_id, imp_key, hash_secret(imp_secret))
    print(f"imp_key         {imp_key}")
    print(f"imp_secret      {imp_secret}")
    print("Write the secrets down now: only their hashes are kept.")


async def _revoke_key(session: "Session", imp_key: str) -> None:
    now = datetime.now(UTC)
    if not find.is_plain(imp_key) or not await session.merchants.revoke_key(imp_key, now):
        raise CliError(f"There is no living key {imp_key!r}.")
    print(f"{imp_key} is revoked")


async def _new_webhook_secret(session: "Session", word: str) -> None:
    from naru.store.merchants import UNREADABLE

    merchant = await find.merchant(session, word)
    fresh_one = fresh.webhook_secret()
    kept = (merchant.webhook_secret or "").split()
    if kept == [UNREADABLE]:
        kept = []
        print("The old one does not open and is replaced.")
    if len(kept) > 1:
        raise CliError(
            f"{merchant.name} has two webhook secrets already: "
            f"naru merchant webhook-secret retire {merchant.user_code}"
        )
    changed = dataclasses.replace(merchant, webhook_secret=" ".join([fresh_one, *kept]))
    await session.merchants.change(changed)
    print(f"webhook secret  {fresh_one}")
    if kept:
        print("Both sign now. Once the shop knows this one: naru merchant webhook-secret retire")


async def _retire_webhook_secret(session: "Session", word: str) -> None:
    merchant = await find.merchant(session, word)
    secrets = (merchant.webhook_secret or "").split()
    if len(secrets) < 2:
        raise CliError(
            f"{merchant.name} has no older webhook secret: "
            f"naru merchant webhook-secret new {merchant.user_code}"
        )
    await session.merchants.change(dataclasses.replace(merchant, webhook_secret=secrets[0]))
    print("Only the newest webhook secret signs from now on.")


async def _list(session: "Session") -> None:
    for merchant in await session.merchants.all():
        kind = "live" if merchant.live else "test"
        print(f"{merchant.id:>4}  {merchant.user_code:<14}  {kind}  {merchant.name}")


async def _show(session: "Session", word: str) -> None:
    merchant = await find.merchant(session, word)
    for field in dataclasses.fields(merchant):
        value = getattr(merchant, field.name)
        if field.name == "webhook_secret":
            value = "set" if value else None
        print(f"{field.name:<24}{_shown(value)}")
    print(f"{'user_codes':<24}{_shown(tuple(await session.merchants.user_codes(merchant.id)))}")
    for key in await session.merchants.keys(merchant.id):
        end = f"revoked {key['revoked_at']:%Y-%m-%d}" if key["revoked_at"] else "living"
        print(f"{'imp_key':<24}{key['imp_key']}  {end}")


async def _add_tier(session: "Session", arguments: argparse.Namespace) -> None:
    import asyncpg

    from naru.domain.merchant import is_tier_code

    agency = await find.merchant(session, arguments.merchant)
    code, name = arguments.tier_code, _text(arguments.name)
    if not is_tier_code(code):
        raise CliError("A tier code is three capital letters or digits, such as ABC.")
    user_code = _user_code(f"{agency.user_code}-{code}")
    webhook_secret = fresh.webhook_secret()
    try:
        tier_id = await session.merchants.add(
            name, [user_code], live=agency.live, webhook_secret=webhook_secret
        )
        await session.tiers.add(tier_id, agency.id, code)
    except asyncpg.UniqueViolationError:
        raise CliError(f"{agency.name} has a tier {code} already.") from None
    tier = await session.merchants.get(tier_id)
    assert tier is not None
    # What its agency allows it allows too, until its own staff says otherwise.
    await session.merchants.change(
        dataclasses.replace(
            agency,
            id=tier.id,
            user_code=user_code,
            name=name,
            webhook_secret=webhook_secret,
        )
    )
    print(f"tier            {code} of {agency.name}")
    print(f"new merchant    {tier_id}  {name}")
    print(f"user code       {user_code}")
    print(f"webhook secret  {webhook_secret}")
    print(f"It has contracts of its own: naru channel add {user_code} …")


async def _list_tiers(session: "Session", word: str) -> None:
    agency = await find.merchant(session, word)
    for tier in await session.tiers.of_agency(agency.id):
        print(f"{tier.code}  {tier.merchant_id:>4}  {tier.name}")


async def _add_user_code(session: "Session", arguments: argparse.Namespace) -> None:
    import asyncpg

    merchant = await find.merchant(session, arguments.merchant)
    user_code = _user_code(arguments.user_code)
    try:
        await session.merchants.add_user_code(merchant.id, user_code)
    except asyncpg.UniqueViolationError:
        raise CliError(f"The user code {user_code} is taken.") from None
    print(f"{merchant.name} answers to {user_code} as well")


async def _set(session: "Session", arguments: argparse.Namespace) -> None:
    merchant = await find.merchant(session, arguments.merchant)
    value = _READERS[arguments.setting](arguments.value)
    changed: Merchant = dataclasses.replace(merchant, **{arguments.setting: value})
    await session.merchants.change(changed)
    print(f"{arguments.setting} of {merchant.name} is {_shown(value)}")


async def _allow(session: "Session", arguments: argparse.Namespace, *, allowed: bool) -> None:
    merchant = await find.merchant(session, arguments.merchant)
    changes: dict[str, tuple[str, ...]] = {}
    for purpose in arguments.purpose or ["page", "return"]:
        entry = _origin(arguments.origin, purpose)
        before: tuple[str, ...] = getattr(merchant, LISTS[purpose])
        without = tuple(each for each in before if each != entry)
        changes[LISTS[purpose]] = (*without, entry) if allowed else without
        print(f"{purpose}: {_shown(changes[LISTS[purpose]])}")
    changed: Merchant = dataclasses.replace(merchant, **changes)  # type: ignore[arg-type]
    await session.merchants.change(changed)


def _origin(text: str, purpose: str) -> str:
    from naru.domain.merchant import LOOPBACK, NULL_ORIGIN, origin_of

    if purpose == "app-scheme":
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,60}", text):
            raise CliError(f"{text[:60]!r} is no app scheme: write it without ://, as in myshop.")
        return text
    if text in (LOOPBACK, NULL_ORIGIN):
        return text
    origin = origin_of(text)
    if origin is None or text.rstrip("/") != origin:
        raise CliError(
            f"{text[:60]!r} is no origin: write https://host or https://host:port, nothing after it."
        )
    return origin


def _user_code(text: str) -> str:
    if not _USER_CODE.fullmatch(text):
        raise CliError("A user code is 3 to 40 letters, digits, - or _, such as imp12345678.")
    return text


def _text(text: str) -> str:
    clean = text.strip()
    if not clean or len(clean) > 100 or not clean.isprintable():
        raise CliError("A name is 1 to 100 printable characters.")
    return clean


def _address(text: str) -> str | None:
    from naru.domain.merchant import origin_of

    if not text:
        return None
    if origin_of(text) is None or len(text) > 2000:
        raise CliError(f"{text[:60]!r} is no http(s) address.")
    return text


def _yes_or_no(text: str) -> bool:
    words = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
    if text.lower() not in words:
        raise CliError("Say yes or no.")
    return words[text.lower()]


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in choices:
            raise CliError(f"Choose one of {', '.join(choices)}.")
        return text

    return read


def _shown(value: Any) -> str:
    match value:
        case None | () | "":
            return "-"
        case tuple():
            return " ".join(value)
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)


_READERS: dict[str, Callable[[str], Any]] = {
    "name": _text,
    "live": _yes_or_no,
    "allow_test_channels": _yes_or_no,
    "webhook_url": _address,
    "webhook_format": _one_of("json", "form"),
    "webhook_mode": _one_of("ladder", "v1", "once"),
    "confirm_url": _address,
}
