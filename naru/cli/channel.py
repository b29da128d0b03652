"""`naru channel …`: the contracts of a merchant with PGs."""

import argparse
import asyncio
import json
import re
from typing import Any

from naru.cli import database, find, fresh, seed
from naru.cli.trouble import CliError
from naru.config import Settings

ALONE = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verbs of `naru channel`."""
    parser.epilog = (
        "for example:  naru channel sandbox-all imp12345678\n"
        "              naru channel default imp12345678 html5_inicis\n"
        "              naru channel add imp12345678 kcp --mid T0000 --connector sandbox --test"
    )
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)

    add = verbs.add_parser("add", help="a contract with one PG")
    add.add_argument("merchant")
    add.add_argument("pg_code", help="i'mport's word for the PG, such as html5_inicis or kcp")
    add.add_argument("--mid", required=True, help="the merchant's number at the PG")
    add.add_argument("--connector", required=True, help="which translator speaks to the PG")
    add.add_argument("--test", action="store_true", help="the PG's test system: no real money")
    add.add_argument(
        "--kind", choices=("payment", "api_payment", "certification"), default="payment",
        help="payments in a window (the default), cards by API, or 본인인증",
    )  # fmt: skip
    add.add_argument("--name", default="", help="what staff call it")
    add.add_argument(
        "--settings-from", metavar="FILE", default=None,
        help="a JSON object with the PG's keys and addresses (a file, so that no key is in the "
        "shell's history; - reads standard input)",
    )  # fmt: skip

    listing = verbs.add_parser("list", help="the channels of a merchant, default first")
    listing.add_argument("merchant")

    default = verbs.add_parser("default", help="the channel meant when `pg` is omitted or unknown")
    default.add_argument("merchant")
    default.add_argument("channel", help="a channel key, or pg_code or pg_code.mid")

    sandbox = verbs.add_parser("sandbox-all", help="a sandbox channel for every pg code")
    sandbox.add_argument("merchant")
    sandbox.add_argument(
        "--url", help="the sandbox PG's address (default: this machine, NARU_SANDBOX_PORT)"
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what the verb says; print what a person needs to know."""
    asyncio.run(_VERBS[arguments.verb](arguments, settings))
    return 0


async def _add(arguments: argparse.Namespace, settings: Settings) -> None:
    from naru import connectors

    if not re.fullmatch(r"[a-z0-9_]{2,40}", arguments.pg_code):
        raise CliError("A pg code is small letters, digits and _, such as html5_inicis.")
    if not re.fullmatch(r"[\x21-\x7e]{1,60}", arguments.mid):
        raise CliError("A MID is 1 to 60 visible ASCII characters.")
    if arguments.connector not in connectors.names():
        raise CliError(
            f"There is no connector {arguments.connector!r}; there are: "
            f"{', '.join(connectors.names())}."
        )
    pg_settings = _read_settings(arguments.settings_from)
    async with database.open_store(settings) as store, store.begin() as session:
        merchant = await find.merchant(session, arguments.merchant)
        channels = await session.channels.of_merchant(merchant.id)
        first = not any(each.kind == arguments.kind for each in channels)
        channel_key = fresh.channel_key()
        added = await session.channels.add(
            merchant.id, channel_key, arguments.pg_code, arguments.mid, arguments.connector,
            test=arguments.test, settings=pg_settings, is_default=first, name=arguments.name,
            kind=arguments.kind,
        )  # fmt: skip
    if not added:
        raise CliError(f"The merchant has {arguments.pg_code}.{arguments.mid} already.")
    print(f"{arguments.pg_code}.{arguments.mid}  {channel_key}{'  default' if first else ''}")
    _warn_of_no_way(arguments.connector, pg_settings)


async def _list(arguments: argparse.Namespace, settings: Settings) -> None:
    async with database.open_store(settings) as store, store.direct() as session:
        merchant = await find.merchant(session, arguments.merchant)
        for name, channel in await session.channels.named_of_merchant(merchant.id):
            words = [
                f"{channel.pg_code}.{channel.mid}".ljust(34),
                channel.channel_key,
                channel.connector,
                "test" if channel.test else "live",
                *([channel.kind] if channel.kind != "payment" else []),
                *(["default"] if channel.is_default else []),
                name,
            ]
            print("  ".join(words).rstrip())


async def _default(arguments: argparse.Namespace, settings: Settings) -> None:
    async with database.open_store(settings) as store, store.begin() as session:
        merchant = await find.merchant(session, arguments.merchant)
        channels = await session.channels.of_merchant(merchant.id)
        meant = [
            channel
            for channel in channels
            if arguments.channel
            in (channel.channel_key, channel.pg_code, f"{channel.pg_code}.{channel.mid}")
        ]
        if not meant:
            raise CliError(f"The merchant has no channel {arguments.channel!r}.")
        if len(meant) > 1:
            raise CliError(
                f"{arguments.channel} could mean "
                + " or ".join(f"{each.pg_code}.{each.mid}" for each in meant)
                + ": say which."
            )
        await session.channels.make_default(merchant.id, meant[0])
    print(f"{meant[0].pg_code}.{meant[0].mid} is the default")


async def _sandbox_all(arguments: argparse.Namespace, settings: Settings) -> None:
    url = (arguments.url or f"http://127.0.0.1:{settings.sandbox_port}").rstrip("/")
    async with database.open_store(settings) as store:
        async with store.begin() as session:
            merchant = await find.merchant(session, arguments.merchant)
            await seed.sandbox_channels(session, merchant.id, url, settings.need_secret())
            channels = await session.channels.of_merchant(merchant.id)
        await seed.join_sandbox(channels)
    print(f"{sum(channel.connector == 'sandbox' for channel in channels)} sandbox channels")


def _warn_of_no_way(connector: str, given: dict[str, Any]) -> None:
    """A sandbox channel without an address and a secret reaches nobody."""
    if connector == "sandbox" and not {"url", "secret"} <= given.keys():
        print(
            "note: this channel reaches no sandbox PG: it has no url and secret (--settings-from). "
            "`naru channel sandbox-all` makes channels that do, 본인인증 and cards by API among them."
        )


def _read_settings(path: str | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with open(0 if path == "-" else path, "rb") as file:
            value = json.loads(file.read(1_000_000))
    except OSError as error:
        raise CliError(f"The settings in {path} cannot be read: {error.strerror}.") from error
    except ValueError:
        raise CliError(f"{path} is no JSON.") from None
    if not isinstance(value, dict):
        raise CliError(f"{path} must hold one JSON object.")
    return value


_VERBS = {"add": _add, "list": _list, "default": _default, "sandbox-all": _sandbox_all}
