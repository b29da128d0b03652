"""shop.toml: the little that the certifier must know of a shop (docs/reference/adapter.md).

How to create an order of an amount, how to read how it stands, and where the shop hears of payments.
Everything is checked before anything is started; what is wrong is said with the name of the key.
"""

from __future__ import annotations

import math
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

Status = Literal["paid", "unpaid", "cancelled"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SETTLES_WITHIN_SECONDS_MAX = 60.0
_NAME = re.compile(r"\{([a-z_]+)\}")
# A section's keys, and what kind of value each of them has (`_KINDS`).
_SECTIONS: dict[str, dict[str, str]] = {
    "shop": {"name": "text", "start": "words", "folder": "text", "ready": "path", "env": "table"},
    "gateway": {
        "port": "port",
        "imp_key": "text",
        "imp_secret": "text",
        "user_code": "text",
        "webhook_secret": "text",
        "webhook_format": "text",
    },
    "order": {"merchant_uid": "pointer", "amount": "pointer"},
    "state": {
        "status": "pointer",
        "fulfilled": "pointer",
        "paid_amount": "pointer",
        "words": "table",
        "settles_within": "seconds",
    },
    "callback": {},
    "redirect": {"path": "path"},
    "webhook": {"path": "path"},
    "sweep": {},
    "change": {},
    "page": {"url": "path", "pay": "text"},
    "hosts": {"allowed": "texts"},
}
_CALL = {
    "request": "text",
    "json": "table",
    "form": "table",
    "headers": "table",
    "command": "words",
}
_CALLS = ("order", "state", "callback", "sweep", "change")
_NEEDED = {
    "order": ("merchant_uid",),
    "state": ("status", "fulfilled", "words"),
    "redirect": ("path",),
    "webhook": ("path",),
    "page": ("url", "pay"),
    "gateway": ("port", "imp_key", "imp_secret", "user_code", "webhook_secret"),
}
_WORDS: tuple[Status, ...] = ("paid", "unpaid", "cancelled")
# Names that stand in braces for a value: those of the run, and those that one section adds.
_NAMES_OF_THE_RUN = (
    "imp_url",
    "imp_key",
    "imp_secret",
    "user_code",
    "webhook_secret",
    "url",
    "port",
    "temp",
    "python",
)
_NAMES: dict[str, tuple[str, ...]] = {
    "shop": (),
    "order": ("amount",),
    "state": ("merchant_uid",),
    "callback": ("imp_uid", "merchant_uid", "amount", "success"),
    "sweep": (),
    "change": ("merchant_uid", "amount"),
    "page": ("merchant_uid",),
}
_NAMES_ALL = {*_NAMES_OF_THE_RUN, *(name for names in _NAMES.values() for name in names)}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+")
# The host is the command line's word alone, it decides who is attacked: so nothing here may be read as
# one, neither by us nor by a browser, to which a backslash is a slash and a tab is nothing.
_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\x7f\\#]*")


class BadAdapter(Exception):
    """The adapter cannot be used; the text names the key and says what belongs there."""


@dataclass(frozen=True)
class HttpCall:
    """A request as the adapter writes it; `{names}` are filled in by `fill`."""

    method: str
    path: str
    json: dict[str, Any] | None = None
    form: dict[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """A program that prints JSON, for a shop that has no address for it."""

    words: tuple[str, ...]


Call = HttpCall | Command


@dataclass(frozen=True)
class ByHand:
    """What a shop is configured with that somebody starts by hand."""

    port: int
    imp_key: str
    imp_secret: str = field(repr=False)
    user_code: str
    webhook_secret: str = field(repr=False)

    @property
    def names(self) -> dict[str, str]:
        """All of it but the port, by the names that it has everywhere."""
        return {
            "imp_key": self.imp_key,
            "imp_secret": self.imp_secret,
            "user_code": self.user_code,
            "webhook_secret": self.webhook_secret,
        }


@dataclass(frozen=True)
class Page:
    """The shop's own page with the button that opens the payment window."""

    url: str
    pay: str


@dataclass(frozen=True)
class Adapter:
    """The whole file. Pointers are JSON pointers (RFC 6901) into what a call answers."""

    file: Path
    name: str
    folder: Path
    start: tuple[str, ...]
    ready: str
    env: Mapping[str, str]
    by_hand: ByHand | None
    webhook_format: str
    order: Call
    order_number: str
    order_amount: str | None
    state: Call
    state_status: str
    state_fulfilled: str
    state_paid_amount: str | None
    words: Mapping[str, Status]
    settles_within_seconds: float
    callback: Call | None
    redirect_path: str | None
    webhook_path: str | None
    sweep: Call | None
    change: Call | None
    page: Page | None
    allowed_hosts: tuple[str, ...]

    @property
    def abilities(self) -> frozenset[str]:
        """The optional sections that are there: what an attack may need."""
        there = {
            "callback": self.callback,
            "redirect": self.redirect_path,
            "webhook": self.webhook_path,
            "sweep": self.sweep,
            "change": self.change,
            "page": self.page,
        }
        return frozenset(name for name, what in there.items() if what is not None)


def read_adapter(file: Path) -> Adapter:
    """Read and check shop.toml. Raises BadAdapter."""
    try:
        text = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BadAdapter(f"{file}: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise BadAdapter(f"{file} is no TOML: {error}.") from None
    return adapter_of(file, text)


def adapter_of(file: Path, text: Mapping[str, Any]) -> Adapter:
    """The adapter that this document describes. Raises BadAdapter, which names the key."""
    for section, keys in text.items():
        _check_section(section, keys)
    for section in ("order", "state"):
        if section not in text:
            raise BadAdapter(f"[{section}] is missing: it is how the shop is judged.")
    if not {"callback", "redirect", "webhook"} & text.keys():
        raise BadAdapter(
            "At least one of [callback], [redirect] and [webhook] is needed: "
            "without them the shop hears of no payment."
        )
    shop, state, order = text.get("shop", {}), text["state"], text["order"]
    gateway, page = dict(text.get("gateway", {})), text.get("page")
    folder = file.parent / shop.get("folder", ".")
    try:
        folder = folder.resolve(strict=True)
    except (OSError, RuntimeError):  # none there, or a link that leads round in a circle
        raise BadAdapter(f"[shop] folder: there is no folder {folder}.") from None
    if not folder.is_dir():
        raise BadAdapter(f"[shop] folder: {folder} is no folder.")
    webhook_format = gateway.pop("webhook_format", "json")
    if webhook_format not in ("json", "form"):
        raise BadAdapter('[gateway] webhook_format is "json" or "form".')
    by_hand = ByHand(**gateway) if gateway else None
    start = tuple(shop.get("start", ()))
    if not start and by_hand is None:
        raise BadAdapter(
            "[shop] start is missing. A shop that you start yourself needs [gateway]: port, imp_key, "
            "imp_secret, user_code and webhook_secret that it is configured with."
        )
    if start and by_hand is not None:
        raise BadAdapter("[gateway] is for a shop that you start yourself, but [shop] has a start.")
    return Adapter(
        file=file,
        name=shop.get("name", file.parent.resolve().name),
        folder=folder,
        start=start,
        ready=shop.get("ready", "/"),
        env=_env(shop.get("env", {})),
        by_hand=by_hand,
        webhook_format=webhook_format,
        order=_call(text, "order"),
        order_number=order["merchant_uid"],
        order_amount=order.get("amount"),
        state=_call(text, "state"),
        state_status=state["status"],
        state_fulfilled=state["fulfilled"],
        state_paid_amount=state.get("paid_amount"),
        words=_words(state["words"]),
        settles_within_seconds=float(state.get("settles_within", 0)),
        callback=_call(text, "callback") if "callback" in text else None,
        redirect_path=text.get("redirect", {}).get("path"),
        webhook_path=text.get("webhook", {}).get("path"),
        sweep=_call(text, "sweep") if "sweep" in text else None,
        change=_call(text, "change") if "change" in text else None,
        page=Page(page["url"], page["pay"]) if page else None,
        allowed_hosts=tuple(host.lower() for host in text.get("hosts", {}).get("allowed", ())),
    )


def fill(template: Any, names: Mapping[str, str | int], *, quoted: bool = False) -> Any:
    """Put values for `{names}`; a text that is nothing but one name takes the value's own type.

    Braces around anything else stay. `quoted`: for a URL.
    """
    if isinstance(template, dict):
        return {key: fill(value, names) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, names) for value in template]
    if not isinstance(template, str):
        return template
    whole = _NAME.fullmatch(template)
    if whole and whole[1] in names and not quoted:
        return names[whole[1]]

    def put(found: re.Match[str]) -> str:
        if found[1] not in names:
            return found[0]
        value = str(names[found[1]])
        return quote(value, safe="", errors="surrogatepass") if quoted else value

    return _NAME.sub(put, template)


def fill_words(words: tuple[str, ...], names: Mapping[str, str | int]) -> list[str]:
    """The words of a command, filled in; `{python}` is this interpreter."""
    return [str(fill(word, {"python": sys.executable} | dict(names))) for word in words]


def point(answer: Any, pointer: str) -> Any:
    """What a JSON pointer finds. Raises LookupError."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(answer, list) and name.isdecimal():
            answer = answer[int(name)]
        elif isinstance(answer, dict):
            answer = answer[name]
        else:
            raise LookupError(pointer)
    return answer


def _check_section(section: str, keys: Any) -> None:
    if section not in _SECTIONS:
        raise BadAdapter(f"[{section}] is not known.{_guess(section, _SECTIONS)}")
    if not isinstance(keys, dict):
        raise BadAdapter(f"{section} is a section: write [{section}].")
    known = _SECTIONS[section] | (_CALL if section in _CALLS else {})
    for key, value in keys.items():
        if key not in known:
            raise BadAdapter(f"[{section}] {key} is not known.{_guess(key, known)}")
        if not _is_kind(known[key], value):
            raise BadAdapter(f"[{section}] {key} is {_KINDS[known[key]]}.")
        _check_names(section, key, value)
    for key in _NEEDED.get(section, ()):
        if key not in keys and not (section == "gateway" and set(keys) == {"webhook_format"}):
            raise BadAdapter(f"[{section}] {key} is missing.")


_KINDS = {
    "text": "a text",
    "texts": "a list of texts",
    "words": "a list of a program and its words",
    "table": "a table: { … }",
    "port": "a number from 1 to 65535",
    "seconds": f"a number of seconds, from 0 to {SETTLES_WITHIN_SECONDS_MAX:.0f}",
    "path": "a path of the shop, such as /payments/complete",
    "pointer": 'a JSON pointer, such as "/status"',
}


def _is_kind(kind: str, value: Any) -> bool:
    match kind:
        case "text":
            return _is_text(value)
        case "texts" | "words":
            return (
                isinstance(value, list)
                and all(map(_is_text, value))
                and (kind == "texts" or bool(value))
            )
        case "table":
            return isinstance(value, dict)
        case "port":
            return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65_535
        case "seconds":
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and 0 <= value <= SETTLES_WITHIN_SECONDS_MAX
        case "path":
            return isinstance(value, str) and _PATH.fullmatch(value) is not None
    return isinstance(value, str) and _POINTER.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    """Something is in it, and a program can be given it."""
    return isinstance(value, str) and value != "" and "\x00" not in value


def _guess(word: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(word, known, 1)
    return f" Is {near[0]} meant?" if near else f" There are: {', '.join(known)}."


def _check_names(section: str, key: str, value: Any) -> None:
    """Other braces are the shop's own; a name of ours that has no value here would be sent as it stands."""
    known = (*_NAMES_OF_THE_RUN, *_NAMES[section]) if section in _NAMES else ()
    for text in _texts(value):
        for name in set(_NAME.findall(text)).difference(known):
            if name in _NAMES_ALL:
                raise BadAdapter(f"[{section}] {key}: {{{name}}} has no value there.")
            if near := get_close_matches(name, known, 1, 0.8):
                raise BadAdapter(f"[{section}] {key}: is {{{near[0]}}} meant by {{{name}}}?")


def _texts(value: Any) -> Iterator[str]:
    """Every text in it, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _call(text: Mapping[str, Any], section: str) -> Call:
    keys = text[section]
    if ("request" in keys) == ("command" in keys):
        raise BadAdapter(f"[{section}] has a request or a command, one of the two.")
    call = _command(keys, section) if "command" in keys else _http_call(keys, section)
    # What the call is about must be said in it, or every order would be the same one.
    about = {"order": "{amount}", "state": "{merchant_uid}", "change": "{amount}"}.get(section, "")
    if not any(about in each for each in _texts(keys)) and "amount" not in keys:
        hint = " When the shop has prices of its own, amount points at what the order costs."
        raise BadAdapter(f"[{section}] says {about} nowhere.{hint if section == 'order' else ''}")
    return call


def _command(keys: Mapping[str, Any], section: str) -> Command:
    for key in ("json", "form", "headers"):
        if key in keys:
            raise BadAdapter(f"[{section}] {key} is for a request, not for a command.")
    return Command(tuple(keys["command"]))


def _http_call(keys: Mapping[str, Any], section: str) -> HttpCall:
    method, _, path = keys["request"].partition(" ")
    if method not in METHODS:
        raise BadAdapter(f'[{section}] request is written "POST /path", with {", ".join(METHODS)}.')
    if not _is_kind("path", path):
        raise BadAdapter(f"[{section}] request names {_KINDS['path']}, not {path!r}.")
    if "json" in keys and "form" in keys:
        raise BadAdapter(f"[{section}] has json or form, not both.")
    if not _is_json(keys.get("json", {})):
        raise BadAdapter(f"[{section}] json holds what JSON has no word for: a date, inf or nan.")
    for name, value in keys.get("form", {}).items():
        if not isinstance(value, str) and not _is_whole(value):
            raise BadAdapter(f"[{section}] form {name} is a text or a whole number.")
    headers = keys.get("headers", {})
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise BadAdapter(f"[{section}] headers: {name!r} is no name of a header.")
        if not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise BadAdapter(f"[{section}] headers {name} is one line of ASCII text.")
    return HttpCall(method, path, keys.get("json"), keys.get("form"), dict(headers))


def _is_json(value: Any) -> bool:
    match value:
        case dict():
            return all(map(_is_json, value.values()))
        case list():
            return all(map(_is_json, value))
        case float():
            return math.isfinite(value)
    return isinstance(value, str | bool) or _is_whole(value)


def _is_whole(value: Any) -> bool:
    # TOML's own bounds; a longer one in hexadecimal digits could not even be written down again.
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _env(env: Mapping[str, Any]) -> dict[str, str]:
    for name, value in env.items():
        if not _ENV.fullmatch(name):
            raise BadAdapter(f"[shop.env] {name!r} is no name of a variable.")
        if not _is_whole(value) and not (isinstance(value, str) and "\x00" not in value):
            raise BadAdapter(f'[shop.env] {name} is a text, such as "on", or a whole number.')
    return {name: str(value) for name, value in env.items()}


def _words(words: Mapping[str, Any]) -> dict[str, Status]:
    mine: dict[str, Status] = {}
    for meaning in words:
        if meaning not in _WORDS:
            raise BadAdapter(f"[state.words] {meaning} is not known: {', '.join(_WORDS)}.")
    for meaning in _WORDS:
        given = words.get(meaning, [])
        for word in given if isinstance(given, list) else [given]:
            if not isinstance(word, str | bool) and not _is_whole(word):
                raise BadAdapter(f"[state.words] {meaning} is the shop's word, or a list of words.")
            if mine.setdefault(str(word), meaning) != meaning:
                raise BadAdapter(f"[state.words] {str(word)!r} means two things.")
    if "paid" not in mine.values():
        raise BadAdapter("[state.words] paid is missing: the shop's word for a paid order.")
    return mine
