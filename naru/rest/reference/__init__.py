"""`/docs`: our OpenAPI document as a page for people, and `/openapi.json`, the document itself.

The page is written once by the server and needs nothing from anywhere else: no CDN, no font, no cookie. Its script searches,
and sends the reader's own tries to this gateway only (CSP). docs/decisions/0017-openapi.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.rest.openapi import DONE, JSON, document
from naru.rest.operation import Operation
from naru.rest.reference.words import WEBHOOKS, words_of

_HERE = Path(__file__).parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-cache",
}
_templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def routes(operations: Iterable[Operation], public_url: str) -> list[Route]:
    """The addresses of the reference."""
    reference = _Reference(tuple(operations), public_url)
    return [
        Route("/openapi.json", _answers(lambda: reference.json, "application/json")),
        Route("/docs", _answers(lambda: reference.page, "text/html; charset=utf-8")),
        Route("/docs/page.css", _file("page.css", "text/css; charset=utf-8")),
        Route("/docs/page.js", _file("page.js", "text/javascript; charset=utf-8")),
    ]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field that an operation reads. `name` is written as in a form."""

    name: str
    where: str
    kind: str
    needed: bool
    usual: str
    said: str


class _Reference:
    """The document and its page, each made when it is first asked for."""

    def __init__(self, operations: tuple[Operation, ...], public_url: str) -> None:
        self._operations = operations
        self._public_url = public_url

    @cached_property
    def document(self) -> dict[str, Any]:
        return document(self._operations, self._public_url)

    @cached_property
    def json(self) -> bytes:
        return json.dumps(self.document, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def page(self) -> bytes:
        document = self.document
        operations = [
            _operation(method.upper(), path, said, document)
            for path, verbs in document["paths"].items()
            for method, said in verbs.items()
        ]
        schemas = document["components"]["schemas"]
        html = _templates.get_template("page.html").render(
            info=document["info"],
            tags=document["tags"],
            operations=operations,
            objects=[_object(name, each) for name, each in schemas.items() if _is_answer(name)],
            messages=document["x-messages"],
            server=self._public_url,
            words=_words,
            webhook_words=WEBHOOKS,
        )
        return html.encode()


def _operation(
    method: str, path: str, said: dict[str, Any], document: dict[str, Any]
) -> dict[str, Any]:
    answers = [
        (status, each["description"], _refusals(each))
        for status, each in said["responses"].items()
        if status != "default"
    ]
    tags = {each["name"]: each["description"].partition(" · ")[0] for each in document["tags"]}
    tag = said["tags"][0]
    found_by = (method, path, said["summary"], said["description"], tag, tags[tag])
    return {
        "id": said["operationId"],
        "find": " ".join((*found_by, words_of(method, path, tag))),
        "method": method,
        "path": path,
        "tag": tag,
        "summary": said["summary"],
        "said": said["description"],
        "open": said.get("security") == [],
        "once": any("$ref" in each for each in said.get("parameters", ())),
        "parameters": list(parameters_of(said, document)),
        "answer": answer_of(said),
        "answers": answers,
        "example": example_of(said),
    }


def _refusals(answer: dict[str, Any]) -> list[tuple[int, str]]:
    examples = answer["content"]["application/json"].get("examples", {})
    return [
        (each["value"]["code"], each["value"]["message"])
        for name, each in examples.items()
        if name != DONE
    ]


def example_of(said: dict[str, Any]) -> tuple[str, str] | None:
    """What a merchant's server once sent to this operation, and what it was answered; None without one."""
    found = (
        each["content"][JSON].get("examples", {}).get(DONE) for each in said["responses"].values()
    )
    if (done := next(filter(None, found), None)) is None:
        return None
    body = said.get("requestBody", {}).get("content", {}).get(JSON, {}).get("example")
    asked = done["summary"] + ("" if body is None else "\n\n" + _pretty(body))
    return asked, _pretty(done["value"])


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def answer_of(said: dict[str, Any], *, link: bool = True) -> Markup | str:
    """The type of `response` when it went well, in a few words."""
    schema = said["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"][0]
    return _kind(schema["properties"]["response"], link=link)


def parameters_of(said: dict[str, Any], document: dict[str, Any]) -> Iterator[Parameter]:
    """What an operation reads, flat, as a form would name it."""
    for each in said.get("parameters", ()):
        if "$ref" in each:
            continue
        where = {"path": "경로 · path", "query": "쿼리 · query"}[each["in"]]
        yield from _flat(each["name"], each["schema"], where, needed=each.get("required", False))
    body = said.get("requestBody")
    if body is not None:
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        request = document["components"]["schemas"][name]
        for key, schema in request["properties"].items():
            yield from _flat(key, schema, "본문 · body", needed=key in request.get("required", ()))


def _flat(name: str, schema: dict[str, Any], where: str, *, needed: bool) -> Iterator[Parameter]:
    """A field, or the fields inside it, under the names that a form has for them."""
    inner, below = schema, name
    if schema.get("type") == "array" and "properties" in schema.get("items", {}):
        inner, below = schema["items"], f"{name}[0]"
    if "properties" in inner:
        if needed and not inner.get("required"):
            # The whole must be there, whatever is in it.
            yield Parameter(name, where, "object", True, "", "")
        for key, each in inner["properties"].items():
            wanted = needed and key in inner.get("required", ())
            yield from _flat(f"{below}[{key}]", each, where, needed=wanted)
        return
    if schema.get("type") == "array" and not name.endswith("[]"):
        name = f"{name}[]"
    usual = schema.get("default", "")
    usual = str(usual).lower() if isinstance(usual, bool) else str(usual)
    said = schema.get("description", "")
    length = schema.get("maxLength")
    if length:
        said = f"{length}자까지 · up to {length}. {said}"
    yield Parameter(name, where, str(_kind(schema)), needed, usual, said)


def _is_answer(name: str) -> bool:
    return name[0].isupper()


def _object(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    fields = [
        (key, _kind(each, link=True), key in schema.get("required", ()))
        for key, each in schema["properties"].items()
    ]
    return {"name": name, "said": schema.get("description", ""), "fields": fields}


def _kind(schema: dict[str, Any], *, link: bool = False) -> Markup | str:
    """The type of a schema in a few words; an object by its name."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        if not link:
            return name
        return Markup('<a href="#object-{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(" | ").join(_kind(each, link=link) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return Markup("[{}]").format(_kind(schema.get("items", {}), link=link))
    if "enum" in schema:
        return " | ".join(json.dumps(each, ensure_ascii=False) for each in schema["enum"])
    kind = schema.get("type", "any")
    return " | ".join(kind) if isinstance(kind, list) else str(kind)


def _words(text: str) -> Markup:
    """The little Markdown that our descriptions have: bold, code, lists, paragraphs."""
    blocks = []
    for block in text.split("\n\n"):
        html = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(block)))
        html = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", html)
        if html.startswith("- "):
            items = html.removeprefix("- ").split("\n- ")
            html = "<ul>" + "".join(f"<li>{each}</li>" for each in items) + "</ul>"
        else:
            html = f"<p>{html}</p>"
        blocks.append(html)
    return Markup("".join(blocks))  # noqa: S704  # every block was escaped first


Answers = Callable[[Request], Awaitable[Response]]


def _answers(body: Callable[[], bytes], kind: str) -> Answers:
    async def answer(request: Request) -> Response:
        return Response(body(), media_type=kind, headers=_HEADERS)

    return answer


def _file(name: str, kind: str) -> Answers:
    body = (_HERE / name).read_bytes()
    return _answers(lambda: body, kind)
