"""Every setting, read once from the environment. Only `app` and `cli` look in here.

A value that cannot be understood raises ConfigError with one sentence that says what to write
instead. Nothing secret is in the repr of the settings.
"""

import difflib
import ipaddress
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

SECRET_BYTES = 32
SECONDS_MAX = 600
RISKS = ("weak-secret", "plain-http", "durability", "clock", "sandbox")
LOG_LEVELS = ("debug", "info", "warning", "error")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ConfigError(Exception):
    """A setting is missing or makes no sense; the text is one sentence for a person."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an operator decides. The environment variable is NARU_ and the field's name."""

    database_url: str | None = field(default=None, repr=False)
    """PostgreSQL's address, postgresql://user:password@host:5432/naru. None: the embedded one."""

    home: Path = Path(".naru")
    """The folder of the embedded database, its logs and the demo's secret."""

    host: str = "127.0.0.1"
    """The address that the gateway listens on; 0.0.0.0 is every network of this machine."""

    port: int = 8800
    """The gateway's port."""

    shop_port: int = 8801
    """The demo shop's port."""

    sandbox_port: int = 8802
    """The sandbox PG's port."""

    public_url: str = "http://127.0.0.1:8800"
    """The gateway's address as buyers' browsers and PGs see it; no slash at the end."""

    secret: bytes | None = field(default=None, repr=False)
    """The root key, 32 bytes or more: it opens what is sealed in the database, and access tokens are
    computed from it. Losing it loses PG keys and buyers' data.
    Not given: the file `secret` in the home folder, which the demo makes; None: neither."""

    secret_old: bytes | None = field(default=None, repr=False)
    """The root key before this one, while they change: it still opens the data keys
    (docs/how-to/keys.md)."""

    allow_private_addresses: bool = False
    """Whether webhooks and confirm_url may be on loopback or private addresses (demo: on)."""

    processes: int = 1
    """How many processes `naru serve` runs."""

    start_wait: int = 30
    """How many seconds `naru serve` and `naru worker` wait at their start for a database that is
    starting, restarting or not to be reached yet."""

    leave_wait: int = 0
    """How many seconds `naru serve` goes on serving after SIGTERM, while `/health` says 503: the time
    that a balancer needs to look away."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged."""

    partial_cancel_status: Literal["cancelled", "paid"] = "cancelled"
    """The public status of a payment of which a part was given back (both exist in the wild)."""

    open_per_channel: int = 200
    """How many calls to one channel's PG may be under way in one process; beyond it buyers are told
    to come back later before they authenticate, and an approval is refused before the PG is asked."""

    close_expired_accounts: bool = False
    """Close virtual accounts that nobody paid by their due date (then `failed`). Off as in i'mport,
    where they stay `ready` for good."""

    api_account_webhook: bool = True
    """Send the `ready` webhook also of accounts that the merchant's server asked for (`POST /vbanks`, `POST
    /cvs`), whose answer it has (unknowns A27)."""

    answer_declined: bool = True
    """Answer a charge by key or card that the card company declined with `code` 0 and the failed payment,
    whose `status` tells, as i'mport's own samples expect; off: with `code` -1 and null (unknowns A17)."""

    prepared_currency: Literal["channel", "any"] = "channel"
    """In which currency an amount that was announced without one (`POST /payments/prepare`) may be paid:
    `channel`: in won, or in the one that the paying channel's PG assumes where a page names none; `any`: in
    whichever the browser names, as in i'mport, which compares the number alone."""

    alert_url: str | None = field(default=None, repr=False)
    """Where the worker posts each new task for operators as JSON; None: only the log says it. A
    secret belongs into its query, which is never logged."""

    trusted_proxies: tuple[Network, ...] = ()
    """Networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    accept_risks: tuple[str, ...] = ()
    """What `naru serve` and `naru worker` begin with all the same: words of RISKS. For tests and demos."""

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Read the environment (and the home folder's secret). Raises ConfigError."""
        source = os.environ if environ is None else environ
        given: dict[str, object] = {}
        for name, read in _READERS.items():
            variable = "NARU_" + name.upper()
            # An empty variable is an unset one, as in `NARU_PORT= make demo`.
            if text := source.get(variable, "").strip():
                given[name] = read(variable, text)
        settings = cls(**given)  # type: ignore[arg-type]  # each reader returns its field's type
        changes: dict[str, object] = {}
        if "public_url" not in given:
            changes["public_url"] = f"http://{_reachable(settings.host)}:{settings.port}"
        if settings.secret is None:
            changes["secret"] = read_secret(settings.home)
        ports = [settings.port, settings.shop_port, settings.sandbox_port]
        if len(set(ports)) < len(ports):
            raise ConfigError(
                "NARU_PORT, NARU_SHOP_PORT and NARU_SANDBOX_PORT must be three different ports."
            )
        return cls(**(given | changes))  # type: ignore[arg-type]

    def need_secret(self) -> bytes:
        """The root key. Raises ConfigError when there is none."""
        if self.secret is None:
            raise ConfigError(
                "NARU_SECRET is not set: give at least 32 random characters, for example "
                "`export NARU_SECRET=$(openssl rand -hex 32)`, and keep them as long as the data."
            )
        return self.secret


def unknown_settings(environ: Mapping[str, str]) -> list[str]:
    """A sentence for each NARU_ variable whose name looks like a misspelt setting."""
    known = ["NARU_" + name.upper() for name in _READERS]
    sentences = []
    for variable in sorted(environ):
        if not variable.startswith("NARU_") or variable in known:
            continue
        if likely := difflib.get_close_matches(variable, known, n=1, cutoff=0.8):
            sentences.append(f"{variable} is not a setting; did you mean {likely[0]}?")
    return sentences


def read_secret(home: Path) -> bytes | None:
    """The root key that the demo keeps in the home folder, None when there is none.

    Raises ConfigError when the file is there and cannot be used.
    """
    path = home / "secret"
    try:
        text = path.read_text("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The root key in {path} cannot be read: {error}.") from error
    return _secret(str(path), text)


def make_secret(home: Path) -> bytes:
    """The root key of the home folder, made and kept (mode 600) the first time."""
    if (kept := read_secret(home)) is not None:
        return kept
    home.mkdir(parents=True, exist_ok=True, mode=0o711)
    half = home / f"secret.{os.getpid()}"
    handle = os.open(half, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secrets.token_hex(SECRET_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link, unlike a rename, never replaces a key that somebody made in the meantime.
        os.link(half, home / "secret")
    except FileExistsError:
        pass
    finally:
        half.unlink()
    made = read_secret(home)
    assert made is not None
    return made


def _reachable(host: str) -> str:
    """A listening address as a caller on this machine would write it."""
    if host in ("0.0.0.0", "::", "*"):  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _port(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535):
        raise ConfigError(f"{variable} must be a port from 1 to 65535, not {text[:40]!r}.")
    return int(text)


def _processes(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 256):
        raise ConfigError(f"{variable} must be a number from 1 to 256, not {text[:40]!r}.")
    return int(text)


def _seconds(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= SECONDS_MAX):
        raise ConfigError(f"{variable} must be seconds from 0 to {SECONDS_MAX}, not {text[:40]!r}.")
    return int(text)


def _open_per_channel(variable: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 10_000):
        raise ConfigError(f"{variable} must be a number from 1 to 10000, not {text[:40]!r}.")
    return int(text)


def _switch(variable: str, text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    if text.lower() not in words:
        raise ConfigError(f"{variable} must be on or off, not {text[:40]!r}.")
    return words[text.lower()]


def _one_of(*choices: str) -> Callable[[str, str], str]:
    def read(variable: str, text: str) -> str:
        if text.lower() not in choices:
            raise ConfigError(f"{variable} must be {' or '.join(choices)}, not {text[:40]!r}.")
        return text.lower()

    return read


def _host(variable: str, text: str) -> str:
    if any(character in text for character in "/ \x00@?#"):
        raise ConfigError(f"{variable} must be an address such as 127.0.0.1, not {text[:40]!r}.")
    return text


def _home(variable: str, text: str) -> Path:
    if "\x00" in text:
        raise ConfigError(f"{variable} must be the path of a folder.")
    return Path(text).expanduser()


def _public_url(variable: str, text: str) -> str:
    wrong = ConfigError(
        f"{variable} must be an address such as https://pay.example.com, not {text[:60]!r}."
    )
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  # reading it is what checks it
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise wrong
    if parts.query or parts.fragment:
        raise wrong
    return text.rstrip("/")


def _alert_url(variable: str, text: str) -> str:
    # The text may hold a secret, so no message repeats it.
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
        parts.port  # noqa: B018  # reading it is what checks it
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            f"{variable} must be an address such as https://chat.example.com/hook?key=…"
        )
    return text


def _database_url(variable: str, text: str) -> str:
    # The text may hold a password, so no message repeats it.
    if not text.startswith(("postgresql://", "postgres://")):
        raise ConfigError(f"{variable} must look like postgresql://user:password@host:5432/naru.")
    return text


def _secret(variable: str, text: str) -> bytes:
    key = text.encode()
    if len(key) < SECRET_BYTES:
        raise ConfigError(f"{variable} is too short: {SECRET_BYTES} characters or more are needed.")
    return key


def _networks(variable: str, text: str) -> tuple[Network, ...]:
    try:
        words = text.replace(",", " ").split()
        return tuple(ipaddress.ip_network(word, strict=False) for word in words)
    except ValueError as error:
        raise ConfigError(f"{variable} must be networks such as 10.0.0.0/8: {error}.") from None


def _risks(variable: str, text: str) -> tuple[str, ...]:
    words = tuple(text.replace(",", " ").split())
    if wrong := [word for word in words if word not in RISKS]:
        raise ConfigError(f"{variable} knows {', '.join(RISKS)}, and not {wrong[0][:40]!r}.")
    return words


_READERS: dict[str, Callable[[str, str], object]] = {
    "database_url": _database_url,
    "home": _home,
    "host": _host,
    "port": _port,
    "shop_port": _port,
    "sandbox_port": _port,
    "public_url": _public_url,
    "secret": _secret,
    "secret_old": _secret,
    "allow_private_addresses": _switch,
    "processes": _processes,
    "start_wait": _seconds,
    "leave_wait": _seconds,
    "log_level": _one_of(*LOG_LEVELS),
    "partial_cancel_status": _one_of("cancelled", "paid"),
    "open_per_channel": _open_per_channel,
    "close_expired_accounts": _switch,
    "api_account_webhook": _switch,
    "answer_declined": _switch,
    "prepared_currency": _one_of("channel", "any"),
    "alert_url": _alert_url,
    "trusted_proxies": _networks,
    "accept_risks": _risks,
}
