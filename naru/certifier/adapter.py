"""shop.toml: the little that the certifier must know of a shop (docs/reference/adapter.md).

How to create an order of an amount, how to read how it stands, and where the shop hears of payments.
Everything is checked before anything is started; what is wrong is said with the name of the key.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

Status = Literal["paid", "unpaid", "cancelled"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_NAME = re.compile(r"\{([a-z_]+)\}")
_SECTIONS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "shop": {"name": str, "start": list, "folder": str, "ready": str, "env": dict},
    "gateway": {
        "port": int,
        "imp_key": str,
        "imp_secret": str,
        "user_code": str,
        "webhook_secret": str,
        "webhook_format": str,
    },
    "order": {"merchant_uid": str, "amount": str},
    "state": {
        "status": str,
        "fulfilled": str,
        "paid_amount": str,
        "words": dict,
        "settles_within": (int, float),
    },
    "callback": {},
    "redirect": {"path": str},
    "webhook": {"path": str},
    "sweep": {},
    "change": {},
    "page": {"url": str, "pay": str},
    "hosts": {"allowed": list},
}
_CALL = {"request": str, "json": dict, "form": dict, "headers": dict, "command": list}
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
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadAdapter(f"{file} is no TOML: {error}.") from None
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
    webhook_format = gateway.pop("webhook_format", "json")
    if webhook_format not in ("json", "form"):
        raise BadAdapter('[gateway] webhook_format is "json" or "form".')
    by_hand = ByHand(**gateway) if gateway else None
    start = tuple(map(str, shop.get("start", ())))
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
        folder=(file.parent / shop.get("folder", ".")).resolve(),
        start=start,
        ready=_path("shop", "ready", shop.get("ready", "/")),
        env={str(name): str(value) for name, value in shop.get("env", {}).items()},
        by_hand=by_hand,
        webhook_format=webhook_format,
        order=_call(text, "order"),
        order_number=_pointer("order", "merchant_uid", order["merchant_uid"]),
        order_amount=_pointer("order", "amount", order["amount"]) if "amount" in order else None,
        state=_call(text, "state"),
        state_status=_pointer("state", "status", state["status"]),
        state_fulfilled=_pointer("state", "fulfilled", state["fulfilled"]),
        state_paid_amount=(
            _pointer("state", "paid_amount", state["paid_amount"])
            if "paid_amount" in state
            else None
        ),
        words=_words(state["words"]),
        settles_within_seconds=float(state.get("settles_within", 0)),
        callback=_call(text, "callback") if "callback" in text else None,
        redirect_path=_path_of(text, "redirect"),
        webhook_path=_path_of(text, "webhook"),
        sweep=_call(text, "sweep") if "sweep" in text else None,
        change=_call(text, "change") if "change" in text else None,
        page=Page(_path("page", "url", page["url"]), page["pay"]) if page else None,
        allowed_hosts=tuple(str(host).lower() for host in text.get("hosts", {}).get("allowed", ())),
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
        answer = answer[int(name)] if isinstance(answer, list) and name.isdigit() else answer[name]
    return answer


def _check_section(section: str, keys: Any) -> None:
    if section not in _SECTIONS:
        raise BadAdapter(f"[{section}] is not known.{_guess(section, _SECTIONS)}")
    if not isinstance(keys, dict):
        raise BadAdapter(f"{section} is a section: write [{section}].")
    known: dict[str, Any] = dict(_SECTIONS[section])
    if section in _CALLS:
        known |= _CALL
    for key, value in keys.items():
        if key not in known:
            raise BadAdapter(f"[{section}] {key} is not known.{_guess(key, known)}")
        if not isinstance(value, known[key]) or isinstance(value, bool):
            raise BadAdapter(f"[{section}] {key} is of another kind than it should be.")
    for key in _NEEDED.get(section, ()):
        if key not in keys and not (section == "gateway" and set(keys) == {"webhook_format"}):
            raise BadAdapter(f"[{section}] {key} is missing.")


def _guess(word: str, known: Mapping[str, object]) -> str:
    near = get_close_matches(word, known, 1)
    return f" Is {near[0]} meant?" if near else f" There are: {', '.join(known)}."


def _call(text: Mapping[str, Any], section: str) -> Call:
    keys = text[section]
    if ("request" in keys) == ("command" in keys):
        raise BadAdapter(f"[{section}] has a request or a command, one of the two.")
    if "command" in keys:
        if not keys["command"]:
            raise BadAdapter(f"[{section}] command is empty.")
        return Command(tuple(map(str, keys["command"])))
    method, _, path = keys["request"].partition(" ")
    if method not in METHODS:
        raise BadAdapter(f'[{section}] request is written "POST /path", with {", ".join(METHODS)}.')
    if "json" in keys and "form" in keys:
        raise BadAdapter(f"[{section}] has json or form, not both.")
    headers = {str(name): str(value) for name, value in keys.get("headers", {}).items()}
    return HttpCall(
        method,
        _path(section, "request", path.strip()),
        keys.get("json"),
        keys.get("form"),
        headers,
    )


def _path_of(text: Mapping[str, Any], section: str) -> str | None:
    return _path(section, "path", text[section]["path"]) if section in text else None


def _path(section: str, key: str, path: str) -> str:
    # The host is the command line's word alone: it decides who is attacked.
    if not path.startswith("/") or path.startswith("//"):
        raise BadAdapter(f"[{section}] {key} is a path of the shop, such as /payments/complete.")
    return path


def _pointer(section: str, key: str, pointer: str) -> str:
    if not pointer.startswith("/"):
        raise BadAdapter(f'[{section}] {key} is a JSON pointer such as "/{pointer or "status"}".')
    return pointer


def _words(words: Mapping[str, Any]) -> dict[str, Status]:
    mine: dict[str, Status] = {}
    for meaning in words:
        if meaning not in _WORDS:
            raise BadAdapter(f"[state.words] {meaning} is not known: {', '.join(_WORDS)}.")
    for meaning in _WORDS:
        given = words.get(meaning, [])
        for word in [given] if isinstance(given, str) else given:
            if mine.setdefault(str(word), meaning) != meaning:
                raise BadAdapter(f"[state.words] {word!r} means two things.")
    if "paid" not in mine.values():
        raise BadAdapter("[state.words] paid is missing: the shop's word for a paid order.")
    return mine
