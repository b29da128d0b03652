"""Requests made from the documents, ours and i'mport's: right ones, nearly right ones, and rude ones.

Every request is made from the seed and its number alone, so that one that found something can be sent again.
What is looked for in an answer: a status of 5xx, anything that our document does not say, a text that only another merchant's
rows hold, and silence.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from naru.rest import messages
from tests.contract.examples import ALSO, CHANNEL, IDENTIFIERS, OF_PATH, UNKNOWN, VALUES
from tests.contract.fits import found, misfit, our_document
from tests.contract.official import resolve, rows

# V1's own words for a PG that cannot do this, and (where its document says so) for one that would not.
CANNOT, WOULD_NOT = 501, 500
LAST_NET = messages.internal("").partition("(")[0]
SECONDS_MAX = 60.0
JSON, FORM = "application/json", "application/x-www-form-urlencoded"

RUDE: tuple[Any, ...] = (
    "",
    " ",
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    99,
    1.5,
    1e3,
    1e308,
    10**12,
    10**30,
    -(10**30),
    2**31,
    2**63,
    253_402_300_800,
    -62_135_596_801,
    "NaN",
    "Infinity",
    "-0",
    "1e3",
    "1,000",
    "+5",
    "0x10",
    "0005",
    "٣",
    "１０００",
    "9" * 20,
    "9" * 400,
    "가" * 41,
    "가" * 5_000,
    "🥕",
    "\u0000",
    "\ud800",
    "a\u202eb",
    "\r\nX-Bad: 1",
    "' OR 1=1 --",
    "%00",
    "%",
    "%s%n{0}{imp_uid}",
    "../../../etc/passwd",
    "<script>alert(1)</script>",
    "http://127.0.0.1:9/",
    "http://[::1]:9/",
    "javascript:alert(1)",
    "2049-13",
    "2049-00",
    "0000-00",
    "20261301",
    "true",
    "yes",
    "null",
    "undefined",
    [],
    [None],
    [[]],
    ["a", 1, {}],
    {},
    {"": ""},
    {"a": {"b": {"c": [1]}}},
    {"0": "a", "1": "b"},
    {"requester": ["customer"]},
    ["x"] * 101,
    ["x"] * 2_500,
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field that a document names: where it stands and what it should be."""

    name: str
    where: str  # path, query, body
    schema: Mapping[str, Any]
    needed: bool


@dataclass(frozen=True, slots=True)
class Target:
    """One operation of a document."""

    method: str
    path: str
    fields: tuple[Field, ...]
    document: str  # whose

    @property
    def name(self) -> str:
        """Verb and path."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to send."""

    number: int
    target: Target
    method: str
    address: str  # path and query, encoded
    headers: Mapping[str, str]
    body: bytes

    def as_curl(self, origin: str) -> str:
        """For a person who wants to see it."""
        words = ["curl", "-isX", self.method, origin + self.address]
        for name, value in self.headers.items():
            words += ["-H", f"{name}: {value}"]
        if self.body:
            words += ["--data-binary", repr(self.body)[1:][1:-1][:2_000]]
        return shlex.join(words)


@dataclass
class Findings:
    """What a run saw."""

    sent: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)  # answers with code 0, by operation
    of_documents: Counter[str] = field(default_factory=Counter)

    def told(self, targets: int) -> str:
        """In one line."""
        statuses = ", ".join(
            f"{status}: {many:,}" for status, many in sorted(self.statuses.items())
        )
        documents = ", ".join(f"{name} {many:,}" for name, many in self.of_documents.items())
        return (
            f"{self.sent:,} requests in {self.seconds:.0f} s ({documents}); {statuses}; "
            f"{len(self.done)} of {targets} operations also succeeded; {len(self.wrong)} wrong"
        )


def targets_of_ours(document: Mapping[str, Any]) -> Iterator[Target]:
    """The operations of our OpenAPI document."""
    schemas = document["components"]["schemas"]
    for path, verbs in document["paths"].items():
        for method, said in verbs.items():
            fields = [
                Field(each["name"], each["in"], each["schema"], each.get("required", False))
                for each in said.get("parameters", ())
                if "$ref" not in each
            ]
            body = said.get("requestBody")
            if body is not None:
                name = body["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
                needed = schemas[name].get("required", ())
                fields += [
                    Field(key, "body", schema, key in needed)
                    for key, schema in schemas[name]["properties"].items()
                ]
            yield Target(method.upper(), path, tuple(fields), "ours")


def targets_of_theirs() -> Iterator[Target]:
    """The operations of i'mport's document; none where it is not there."""
    for row in rows():
        fields = tuple(
            Field(
                each["name"],
                {"formData": "body"}.get(each["in"], each["in"]),
                _whole(each.get("schema") or each),
                each.get("required", False),
            )
            for each in row.said.get("parameters", ())
            if each["in"] != "header"
        )
        yield Target(row.method, row.path, fields, "i'mport's")


def _whole(schema: dict[str, Any] | str) -> dict[str, Any]:
    """A schema of Swagger 2.0 without references."""
    whole = dict(resolve(schema))
    whole.pop("required", None)
    if "items" in whole:
        whole["items"] = _whole(whole["items"])
    if "properties" in whole:
        whole["properties"] = {key: _whole(below) for key, below in whole["properties"].items()}
    return whole


class Maker:
    """Makes the requests of one seed. `token` stands where a token may; `names` are the identifiers that
    mean something to somebody, `own` those of the asker that a path means.
    """

    def __init__(
        self,
        seed: int,
        targets: Sequence[Target],
        token: str,
        names: Mapping[str, Sequence[str]],
        own: Callable[[str], Mapping[str, str]] = lambda path: {},
    ) -> None:
        self.seed, self.targets, self._token = seed, targets, token
        self._names, self._own = names, own

    def make(self, number: int) -> Request:
        """The request of this number."""
        rng = Random(f"{self.seed}:{number}")
        target = self.targets[number % len(self.targets)]
        rude = 0.0 if rng.random() < 0.4 else rng.choice((0.1, 0.3, 1.0))
        path, query, body = target.path, [], {}
        for each in target.fields:
            wanted = each.needed or (not rude and each.name in ALSO)
            if each.where != "path" and not wanted and rng.random() > 0.3:
                continue
            if each.where != "path" and rng.random() < rude * 0.15:
                continue
            value = self._value(target, each.name, each.schema, rng, rude)
            if each.where == "path":
                path = path.replace("{" + each.name + "}", _in_path(value, rng))
            elif each.where == "query" or target.method in ("GET", "DELETE"):
                query += list(flat(each.name.removesuffix("[]"), value))
            else:
                body[each.name] = value
        if rng.random() < rude * 0.2:
            body[rng.choice(("admin", "merchant_id", "status", "__proto__", "a[b]"))] = rng.choice(
                RUDE
            )
        headers = self._headers(rng, query)
        sent = self._body(body, headers, rng, rude) if target.method in ("POST", "PUT") else b""
        if rng.random() < 0.05:
            path += "/"
        method = target.method
        if rng.random() < rude * 0.04:
            method = rng.choice(("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"))
        address = path + ("?" + _encoded(query) if query else "")
        return Request(number, target, method, address, headers, sent)

    def _value(
        self, target: Target, name: str, schema: Mapping[str, Any], rng: Random, rude: float
    ) -> Any:
        name = name.removesuffix("[]")
        if rng.random() < rude:
            return rng.choice(RUDE)
        kind = schema.get("type")
        if kind == "array":
            items = schema.get("items", {})
            many = rng.choice((1, 1, 1, 2, 3)) if rude else 1
            return [self._value(target, name, items, rng, rude) for _ in range(many)]
        if "properties" in schema:
            return {
                key: self._value(target, key, below, rng, rude)
                for key, below in schema["properties"].items()
                if rng.random() < 0.7 or key in VALUES
            }
        if name in IDENTIFIERS or name == CHANNEL:
            known = self._names.get(name, ())
            own = self._own(target.path)
            if name in own and rng.random() < 0.5:
                return own[name]
            if known and rng.random() < 0.8:
                return rng.choice(known)
            return UNKNOWN[name](rng.randrange(10**9))
        if "enum" in schema:
            return rng.choice(schema["enum"])
        if (target.path, name) in OF_PATH:
            return OF_PATH[target.path, name]
        if name in VALUES and rng.random() < 0.9:
            return VALUES[name]
        return self._typed(kind, schema, rng)

    @staticmethod
    def _typed(kind: Any, schema: Mapping[str, Any], rng: Random) -> Any:
        if kind in ("integer", "number"):
            return rng.choice((0, 1, 2, 3, 100, 2_002, 55_000, rng.randrange(10**6)))
        if kind == "boolean":
            return rng.choice((True, False, "true", "0"))
        if kind == "object":
            return {"note": "a"}
        length = min(int(schema.get("maxLength", 12)), 12)
        return "".join(rng.choice("가나다abc019-_ ") for _ in range(rng.randrange(1, length + 1)))

    def _headers(self, rng: Random, query: list[tuple[str, str]]) -> dict[str, str]:
        headers: dict[str, str] = {}
        way = rng.random()
        if way < 0.7:
            headers["Authorization"] = self._token
        elif way < 0.85:
            headers["Authorization"] = rng.choice(("Bearer ", "bearer ", "Basic ")) + self._token
        elif way < 0.9:
            headers["X-ImpTokenHeader"] = self._token
        elif way < 0.95:
            query.append(("_token", self._token))
        elif way < 0.98:
            headers["Authorization"] = rng.choice(
                ("x", "Bearer", "Bearer " + "0" * 40, "가".encode().hex())
            )
        if rng.random() < 0.03:
            headers["Tier"] = rng.choice(("NRU", "ABC", "", "***"))
        if rng.random() < 0.05:
            headers["Idempotency-Key"] = rng.choice(
                ("key-1", "key-2", "k" * 300, f"key-{rng.random()}")
            )
        return headers

    @staticmethod
    def _body(fields: dict[str, Any], headers: dict[str, str], rng: Random, rude: float) -> bytes:
        way = rng.random()
        if way < rude * 0.08:
            headers["Content-Type"] = rng.choice(
                (JSON, FORM, "text/plain", "multipart/form-data; boundary=x")
            )
            broken = (
                b"{",
                b"[]",
                b"null",
                b'{"a":NaN}',
                b'{"a":1,"a":2}',
                b"\xff\xfe",
                b"a[=1",
                b"[" * 200,
            )
            return rng.choice(broken)
        if way < 0.55:
            headers["Content-Type"] = rng.choice(
                (JSON, JSON, f"{JSON}; charset=utf-8", "text/plain")
            )
            return json.dumps(fields, ensure_ascii=True).encode()
        headers["Content-Type"] = rng.choice((FORM, FORM, f"{FORM}; charset=utf-8", JSON))
        pairs = [pair for name, value in fields.items() for pair in flat(name, value)]
        return _encoded(pairs).encode()


def _in_path(value: Any, rng: Random) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    encoded = quote(text.encode("utf-8", "surrogatepass"), safe="")
    return encoded[:3_000] or rng.choice(("-", "%20", "%E0%A4", "."))


def flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A value as PHP's form has it."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from flat(f"{name}[{key}]", below)
    elif isinstance(value, list):
        for number, below in enumerate(value):
            inner = f"{name}[{number}]" if isinstance(below, dict | list) else f"{name}[]"
            yield from flat(inner, below)
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    else:
        yield name, "" if value is None else str(value)


def _encoded(pairs: Sequence[tuple[str, str]]) -> str:
    return urlencode(pairs, errors="surrogatepass")[:60_000]


@cache
def refused_by_500() -> frozenset[str]:
    """Operations whose refusal by the PG V1 tells by HTTP 500: stated by their verbs, and by i'mport's document."""
    theirs = {row.name for row in rows() if "500" in row.said["responses"]}
    return frozenset(
        f"{method.upper()} {path}"
        for path, verbs in our_document()["paths"].items()
        for method, said in verbs.items()
        if "500" in said["responses"] and (not theirs or f"{method.upper()} {path}" in theirs)
    )


def judged(request: Request, status: int, raw: bytes, secret: str) -> str | None:
    """What is wrong with this answer; None when nothing is."""
    if request.method == "HEAD":
        return "a body for HEAD" if raw else None
    try:
        body = json.loads(raw)
    except ValueError:
        return f"HTTP {status} without JSON: {raw[:80]!r}"
    if status >= 500 and status != CANNOT:
        operation = found(request.method, request.address)
        name = f"{operation.method} {operation.path}" if operation else ""
        if status != WOULD_NOT or name not in refused_by_500() or LAST_NET in body["message"]:
            return f"HTTP {status}: {body['message']}"
    if secret in json.dumps(body, ensure_ascii=False):
        return "another merchant's data"
    return misfit(request.method, request.address, status, body)


async def run(
    origin: str, maker: Maker, numbers: range, *, secret: str, at_once: int = 24
) -> Findings:
    """Send the requests of these numbers, that many at once, and judge every answer."""
    findings = Findings()
    left = iter(numbers)
    began = time.perf_counter()
    timeout = aiohttp.ClientTimeout(total=SECONDS_MAX)
    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as http:

        async def sender() -> None:
            for number in left:
                request = maker.make(number)
                await _send(http, origin, request, findings, secret)

        await asyncio.gather(*(sender() for _ in range(at_once)))
    findings.seconds = time.perf_counter() - began
    return findings


async def _send(
    http: aiohttp.ClientSession, origin: str, request: Request, findings: Findings, secret: str
) -> None:
    wrong: str | None
    try:
        async with http.request(
            request.method,
            URL(origin + request.address, encoded=True),
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
        ) as answer:
            raw = await answer.read()
            status = answer.status
    except (TimeoutError, aiohttp.ClientError) as error:
        wrong, status, raw = f"no answer: {error!r}", 0, b""
    else:
        wrong = judged(request, status, raw, secret)
    findings.sent += 1
    findings.statuses[status] += 1
    findings.of_documents[request.target.document] += 1
    if status in (200, 207) and raw.startswith(b'{"code":0'):
        operation = found(request.method, request.address)
        if operation is not None:
            findings.done[f"{operation.method} {operation.path}"] += 1
    if wrong is not None:
        findings.wrong.append(
            f"#{request.number} {request.target.name} ({request.target.document}): {wrong}\n"
            f"    {request.as_curl(origin)}"
        )
