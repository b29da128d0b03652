"""`naru certify URL --adapter shop.toml`: attack a shop, say what held, and what it cost."""

from __future__ import annotations

import argparse
import random
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from naru.certifier.adapter import Adapter, BadAdapter, read_adapter
from naru.certifier.attacks import ATTACKS
from naru.certifier.attacks.attack import Attack
from naru.certifier.certify import certify
from naru.certifier.hosts import NotAllowed, allowed_origin
from naru.certifier.result import Outcome
from naru.certifier.shop import ShopTrouble
from naru.config import Settings
from naru.testing.private_gateway import GatewayTrouble

HELD, BROKEN, NOT_TRIED = 0, 1, 2
FORMATS = ("html", "junit", "sarif", "json", "badge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every option of the command."""
    parser.add_argument("url", nargs="?", help="the shop's origin (default: a free port here)")
    parser.add_argument("--adapter", type=Path, metavar="shop.toml", help="how to read the shop")
    parser.add_argument(
        "--attack", action="append", metavar="NAME", help="only this one; again for more"
    )
    parser.add_argument("--seed", type=int, help="do exactly that run again")
    parser.add_argument("--list", action="store_true", help="name every attack, and do nothing")
    parser.add_argument("--real", action="store_true", help="a test host that the adapter lists")
    for name in FORMATS:
        parser.add_argument(
            f"--{name}", type=Path, metavar="FILE", help=f"write the report as {name}"
        )
    parser.add_argument(
        "--compare", type=Path, metavar="FILE", help="the JSON report of an earlier run"
    )


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """0: every attack held. 1: one broke a rule, or could not be tried. 2: nothing was begun."""
    if arguments.list:
        for attack in ATTACKS:
            print(f"{attack.name:32} {attack.named.title.ko} / {attack.named.title.en}")
        return HELD
    try:
        if arguments.adapter is None:
            raise BadAdapter("--adapter shop.toml is missing: docs/reference/adapter.md.")
        adapter = read_adapter(arguments.adapter)
        attacks = _chosen(arguments.attack)
        url = _url(arguments.url, adapter, real=arguments.real)
    except (BadAdapter, NotAllowed) as error:
        print(f"naru: {error}", file=sys.stderr)
        return NOT_TRIED
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed  # noqa: S311
    command = ["naru", "certify", *([arguments.url] if arguments.url else [])]
    command += ["--adapter", str(arguments.adapter), *(["--real"] if arguments.real else [])]

    def show(number: int, outcome: Outcome) -> None:
        print(
            f"{number:3}/{len(attacks)} {outcome.verdict:8} {outcome.attack.name:32} "
            f"{outcome.seconds:5.1f} s {outcome.cost:>12,} {outcome.why.en if outcome.why else ''}"
        )
        for breach in outcome.breaches:
            print(f"      {breach.rule.id}: {breach.why.ko}")

    try:
        done = certify(adapter, url, attacks, seed=seed, command=command, show=show)
    except (ShopTrouble, GatewayTrouble) as trouble:
        print(f"naru: {trouble}", file=sys.stderr)
        return NOT_TRIED
    print(done.passed, done.cost, f"{done.seconds:.1f} s")
    return HELD if done.passed else BROKEN


def _chosen(names: list[str] | None) -> tuple[Attack, ...]:
    known = {attack.name: attack for attack in ATTACKS}
    for name in names or ():
        if name not in known:
            raise BadAdapter(f"There is no attack {name!r}: naru certify --list names all.")
    return tuple(known[name] for name in names) if names else ATTACKS


def _url(url: str | None, adapter: Adapter, *, real: bool) -> str:
    if url is None:
        if not adapter.start:
            raise BadAdapter("Say where the shop runs: naru certify http://127.0.0.1:8000 …")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{free.getsockname()[1]}"
    origin = allowed_origin(url, real=real, listed=adapter.allowed_hosts)
    if adapter.start and urlsplit(origin).port is None:
        raise BadAdapter("The address needs a port, since the adapter starts the shop there.")
    return origin
