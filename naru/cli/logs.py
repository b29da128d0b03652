"""One shape of log line for every process: time, level, who, what; one record is one line.

What is logged is chosen where it is logged. This is the last net under that: whatever a stranger
wrote cannot begin a line of its own, and what looks like a card number, a token or one of this
process's own secrets is not written, wherever it came from (P19, RELIABILITY §5.6).
"""

import logging
import re
import time
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from naru.config import Settings

KNOWN_CHARACTERS_MIN = 6

# 13 to 19 digits, alone or in groups: a card number if its check digit says so.
_LONG_NUMBER = re.compile(r"(?<!\d)\d(?:[ \-.]?\d){12,18}(?!\d)")
# What stands after these words, up to the end of the value.
_NAMED = re.compile(
    r"(?P<name>(?:_token|access_token|auth_token|imp_secret|imp_key|secret|password|passwd|pwd|cvc|"
    r"api[_-]?key|x-imptokenheader|authorization)[\"']?\s*(?:=|:|%3[ad]|\s(?=bearer|basic))\s*[\"']?"
    r"(?:(?:bearer|basic)\s+)?)(?P<value>[^\s\"'&,;)}\]]+)",
    re.IGNORECASE,
)
# Access tokens (40 hex digits, no more), webhook secrets, private keys, passwords in addresses.
_SHAPES = (
    (re.compile(r"(?<![0-9A-Za-z])[0-9a-fA-F]{40}(?![0-9A-Za-z])"), "[token]"),
    (re.compile(r"whsec_[A-Za-z0-9+/_=-]+"), "[webhook secret]"),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL),
        "[private key]",
    ),
    (re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]*(?=@)"), "[user and password]"),
)


def set_up(settings: Settings) -> None:
    """Send the logs of this process to stderr in UTC. Called once, before anything logs."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(_own_secrets(settings)))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    logging.captureWarnings(True)
    # Libraries speak of every request below this level, with addresses and their queries.
    for name in ("asyncio", "aiohttp", "pgqueuer", "uvicorn.access"):
        logging.getLogger(name).setLevel(logging.WARNING)


class OneLine(logging.Formatter):
    """A record with its traceback on one line, without secrets; `known` are secrets by their value."""

    converter = staticmethod(time.gmtime)

    def __init__(self, known: Iterable[str] = ()) -> None:
        super().__init__(
            "%(asctime)sZ %(levelname)s %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
        )
        # The longest first, so that no secret leaves the tail of a longer one behind.
        self._known = sorted({each for each in known if len(each) >= KNOWN_CHARACTERS_MIN}, key=len)

    def format(self, record: logging.LogRecord) -> str:
        """The line. Never raises for what a record holds: a line that cannot be made says so."""
        try:
            text = super().format(record)
        except Exception as error:
            # Wrong arguments for its own format; logging would print them, unscrubbed, to stderr.
            text = f"{record.levelname} {record.name}: a line that cannot be written ({type(error).__name__})"
        for secret in reversed(self._known):
            text = text.replace(secret, "[secret]")
        return escape(scrub(text))


def scrub(text: str) -> str:
    """The text without card numbers, tokens and the like."""
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    text = _NAMED.sub(lambda found: found["name"] + "[hidden]", text)
    return _LONG_NUMBER.sub(_without_card, text)


def escape(text: str) -> str:
    """The text on one line of any terminal: what cannot be printed is written as its number."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def _without_card(found: re.Match[str]) -> str:
    digits = [int(each) for each in found[0] if each.isdecimal()]
    return "[card number]" if _has_check_digit(digits) else found[0]


def _has_check_digit(digits: list[int]) -> bool:
    """Luhn's sum, from the right: every second digit is doubled."""
    doubled = (each * 2 - 9 * (each > 4) for each in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _own_secrets(settings: Settings) -> list[str]:
    keys = [settings.secret, settings.secret_old]
    found = [key.decode("utf-8", "replace") for key in keys if key]
    if settings.database_url:
        try:
            password = urlsplit(settings.database_url).password
        except ValueError:
            password = None
        found += [password, unquote(password)] if password else []
    return found
