"""`naru …`: reads argv and hands over to the file of that command, which alone is imported."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from naru.cli import crash
from naru.cli.trouble import CliError
from naru.config import ConfigError, Settings, unknown_settings
from naru.domain.acting import Acting, acting

COMMANDS = {
    "demo": "gateway, sandbox PG, shop and PostgreSQL on this machine, ready to try",
    "serve": "run the gateway",
    "worker": "run the worker: webhooks, doubtful payments, due dates",
    "migrate": "bring the database to this version",
    "merchant": "add, list and change merchants and their API keys",
    "channel": "add, list and choose the PG contracts of a merchant",
    "webhooks": "list and resend webhooks",
    "tasks": "what the house could not end by itself: list, show, close",
    "schedules": "charges that wait for their time, are late, or failed: list",
    "decide": "end an unknown outcome by what the PG's console shows",
    "payment": "one payment's whole history",
    "doubts": "payments whose outcome nobody here knows, and what is done about them",
    "audit": "check every promise over the whole database, and say what is broken",
    "books": "compare the PGs' own books with ours",
    "fence": "keep everything in: for a database that was restored from a backup",
    "unfence": "compare a restored database with the PGs' books, and let it act again",
    "log": "show and verify the audit log",
    "keys": "list, rotate and retire the keys that seal secrets at rest",
    "certify": "attack a merchant's shop, and judge it by its orders",
    "doctor": "say what is wrong with this installation, and what to do",
}

# A room above this one, which only its name is known of here.
ELSEWHERE = {"certify": "naru.certifier.command"}

SERVERS = ("demo", "serve", "worker")

EPILOG = """\
Settings come from the environment, none from a file:

  NARU_DATABASE_URL   postgresql://user:password@host:5432/naru (demo: its own PostgreSQL)
  NARU_SECRET         the root key, 32 characters or more (demo: makes one in NARU_HOME)
  NARU_SECRET_OLD     the root key before, while it is changed
  NARU_HOME           folder of the demo's database, secret and logs (.naru)
  NARU_HOST           address the gateway listens on (127.0.0.1)
  NARU_PORT           port of the gateway (8800)
  NARU_SHOP_PORT      port of the demo shop (8801)
  NARU_SANDBOX_PORT   port of the sandbox PG (8802)
  NARU_PUBLIC_URL     the gateway's address as browsers and PGs see it
  NARU_PROCESSES      processes of `naru serve` (1)
  NARU_START_WAIT     seconds to wait at the start for a database that is not there yet (30)
  NARU_LEAVE_WAIT     seconds to go on serving after SIGTERM, with /health at 503 (0)
  NARU_LOG_LEVEL      debug, info, warning or error (info)
  NARU_TRUSTED_PROXIES             networks whose X-Forwarded-* is believed (none)
  NARU_ALLOW_PRIVATE_ADDRESSES     let webhooks be on private addresses (off; demo: on)
  NARU_ALERT_URL      where operators are told of new tasks (none: the log only)
  NARU_ACCEPT_RISKS   begin with what serve refuses: weak-secret, plain-http, durability, clock, sandbox
  NARU_OPEN_PER_CHANNEL            calls to one PG at a time in one process (200)
  NARU_CLOSE_EXPIRED_ACCOUNTS      close virtual accounts after their due date (off, as V1)
  NARU_API_ACCOUNT_WEBHOOK         send the ready webhook also for POST /vbanks and /cvs (on)
  NARU_ANSWER_DECLINED             answer a declined charge with the failed payment (on)
  NARU_PREPARED_CURRENCY           channel or any: where an amount announced without a currency binds
  NARU_PARTIAL_CANCEL_STATUS       cancelled or paid: status of a partly cancelled payment

The usual start:  naru migrate && naru merchant add "My shop" && naru serve
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 refused or failed, 2 not understood."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="naru",
        description="Naru, the open payment gateway that speaks i'mport (PortOne V1).",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    chosen = next((word for word in words if not word.startswith("-")), None)
    module = None
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            # The other commands' modules stay on the disk: `naru --help` is to be instant.
            module = module_of(name)
            module.add_arguments(command)
            place = words.index(name) + 1
            bare = words[place:][:1] in ([], ["--all"], ["--most"])
            if bare and hasattr(module, "ALONE"):
                # Without a verb: what is harmless, or how to say it.
                if module.ALONE is None:
                    command.print_help(sys.stderr)
                    return 2
                words.insert(place, module.ALONE)
    arguments = parser.parse_args(words)
    assert module is not None
    for sentence in unknown_settings(os.environ):
        _complain(sentence)
    who = acting.set(_operator(arguments))
    try:
        crash.arm(os.environ)
        return int(module.run(arguments, Settings.read()))
    except (CliError, ConfigError) as error:
        _complain(str(error))
        return 1
    except BrokenPipeError:
        # The reader of our output has gone, as in `naru webhooks list | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    finally:
        acting.reset(who)


def module_of(command: str) -> ModuleType:
    """The file of one command: it has `add_arguments(parser)` and `run(arguments, settings)`."""
    return importlib.import_module(ELSEWHERE.get(command, f"naru.cli.{command}"))


def _operator(arguments: argparse.Namespace) -> Acting | None:
    """Who sits at the keyboard, for the audit log. Processes that serve act for others."""
    if arguments.command in SERVERS:
        return None
    import getpass
    import socket

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        user = f"uid {os.getuid()}"
    words = [
        "naru",
        arguments.command,
        getattr(arguments, "verb", ""),
        getattr(arguments, "what", ""),
    ]
    # An SSH session says where it came from.
    address = os.environ.get("SSH_CONNECTION", "").partition(" ")[0] or None
    return Acting(
        " ".join(str(word) for word in words if word),
        who=f"operator {user}@{socket.gethostname()}",
        address=address,
    )


def _complain(sentence: str) -> None:
    print(f"naru: {sentence}", file=sys.stderr, flush=True)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"naru {version('naru')}"
    except PackageNotFoundError:
        return "naru (not installed)"


if __name__ == "__main__":
    sys.exit(main())
