"""Our own OpenAPI 3.1 document, written from the table that serves (never by hand). Source of the shapes: the
requests and answers of the operations; of the refusals: their verbs.

Every operation is told in Korean (`summary`) and in English (`description`). Both bodies of V1 are there, JSON and the PHP
form; a token may come in any of V1's places.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from naru.rest import idempotency, messages
from naru.rest.annotations import PaymentAnnotation
from naru.rest.examples import Example, examples
from naru.rest.operation import Operation
from naru.rest.refusals import Refusal, every_sentence, refusals_of
from naru.rest.schema import REF, Schema, Schemas, request_schema

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
# The name of the example of an answer that is no refusal.
DONE = "done"
REFUSED: Schema = {"$ref": REF + "Refused"}

# What a tag of V1 is about, in Korean and English, in the order in which a reader needs them.
TAGS = {
    "authenticate": ("인증", "Access tokens"),
    "payments": ("결제", "Looking payments up, and giving money back"),
    "payments.validation": ("결제금액 사전등록", "Announcing the amount of an order"),
    "subscribe": ("비인증 결제와 예약", "Charges without a window, at once or scheduled"),
    "subscribe.customer": ("빌링키", "Billing keys"),
    "vbanks": ("가상계좌", "Virtual accounts without a window"),
    "certifications": ("본인인증", "Identity verification"),
    "receipts": ("현금영수증", "Cash receipts"),
    "partners": ("하위 상점 거래", "Sub-merchants on a receipt"),
    "escrow.logis": ("에스크로 배송", "Shipping of escrow payments"),
    "cvs": ("편의점 결제", "Payments at convenience stores"),
    "naver": ("네이버페이 주문", "The life of a Naver order"),
    "kcpquick": ("KCP 퀵페이", "KCP quick pay"),
    "benepia": ("베네피아 포인트", "Benepia points"),
    "payco": ("페이코 주문상태", "State of a PAYCO order"),
    "paymentwall": ("페이먼트월 배송", "Deliveries for Paymentwall"),
    "kakao": ("카카오페이 주문", "Orders at KakaoPay"),
    "codes": ("카드사와 은행 코드", "Standard codes of card companies and banks"),
    "users": ("PG 설정", "The channels of the merchant"),
    "tiers": ("하위 상점", "Sub-merchants"),
}

_WELCOME = """가맹점 서버가 부르는 i'mport(PortOne V1) REST API 입니다. 이 문서는 요청을 처리하는 코드에서 생성됩니다.

The REST API of i'mport (PortOne V1) for the merchant's server. This document is generated from the code that serves it.

- A body is JSON or a form; forms nest as PHP nests them: `extra[requester]=admin`, `schedules[0][amount]=1004`, `imp_uid[]=a`.
- Numbers and booleans may come as text, texts may come as JSON numbers; an empty value is an absent one; unknown fields are ignored.
- Every answer is `{"code", "message", "response"}`. `code` 0 is success. **A business refusal keeps HTTP 200** with another `code`: look at both.
- Times are unix seconds (UTC), 0 for never. Amounts are numbers in major units: integers for KRW.
- A trailing slash counts for nothing, and a verb that a path does not have is read as GET."""


def document(operations: Iterable[Operation], public_url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these operations, served at `public_url`."""
    table = list(operations)
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for each in table:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    used = {each.tag for each in table}
    tags = [tag for tag in TAGS if tag in used] + sorted(used - TAGS.keys())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "나루 REST API",
            "summary": "i'mport (PortOne V1), spoken by Naru",
            "description": _WELCOME,
            "version": version("naru"),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url}],
        "tags": [_tag(tag) for tag in tags],
        "security": [{"token": []}, {"bearer": []}, {"tokenHeader": []}, {"tokenQuery": []}],
        "paths": paths,
        "components": {
            "schemas": {"Refused": _refused(), **dict(sorted(schemas.named.items()))},
            "parameters": {"IdempotencyKey": _idempotency_key()},
            "securitySchemes": _security(),
        },
        "x-messages": [refusal._asdict() for refusal in every_sentence()],
    }


def _tag(tag: str) -> dict[str, Any]:
    korean, english = TAGS.get(tag, (tag, tag))
    return {"name": tag, "description": f"{korean} · {english}"}


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    verb = operation.verb or operation.open_verb
    assert verb is not None  # Operation checks that a row has one of the two.
    example: Example | None = examples().get(f"{operation.method} {operation.path}")
    in_path = frozenset(re.findall(r"{(\w+)}", operation.path))
    request = request_schema(operation.request, leave_out=in_path)
    whole = request_schema(operation.request)["properties"]
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": whole.get(name, {"type": "string"}),
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    said: dict[str, Any] = {
        "operationId": _operation_id(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _description(operation, verb),
    }
    if operation.open_verb is not None:
        said["security"] = []
    if operation.method in ("GET", "DELETE"):
        parameters += _query(request)
    elif request["properties"]:
        name = f"{_operation_id(operation)}_request"
        schemas.named[name] = request
        said["requestBody"] = {
            "required": "required" in request,
            "content": {JSON: {"schema": {"$ref": REF + name}}, FORM: _form(name, request)},
        }
        if example is not None and example.body is not None:
            said["requestBody"]["content"][JSON]["example"] = example.body
    if operation.recall is not None:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if parameters:
        said["parameters"] = parameters
    said["responses"] = _responses(operation, refusals_of(verb), schemas)
    if example is not None:
        done = said["responses"][str(example.status)]["content"][JSON]
        shown = {"summary": f"{example.method} {example.path}", "value": example.answer}
        done["examples"] = {DONE: shown, **done.get("examples", {})}
    return said


def _operation_id(operation: Operation) -> str:
    """`GET /payments/{imp_uid}` is `get_payments_by_imp_uid`: unique, because verb and path are."""
    words = re.sub(r"{(\w+)}", r"by_\1", operation.path).replace("-", "_").strip("/").split("/")
    return "_".join([operation.method.lower(), *words])


def _description(operation: Operation, verb: Any) -> str:
    english = operation.english.rstrip(".")
    return f"**{english}.** " + " ".join((inspect.getdoc(verb) or "").split())


def _query(request: Schema) -> list[dict[str, Any]]:
    """Fields of a query; a list is `name[]=a&name[]=b`, an object `name[key]=a`."""
    parameters = []
    for name, schema in request["properties"].items():
        parameter: dict[str, Any] = {"name": name, "in": "query", "schema": schema}
        if schema.get("type") == "array":
            parameter |= {"name": f"{name}[]", "style": "form", "explode": True}
        if schema.get("type") == "object":
            parameter |= {"style": "deepObject", "explode": True}
        if name in request.get("required", ()):
            parameter["required"] = True
        parameters.append(parameter)
    return parameters


def _form(name: str, request: Schema) -> dict[str, Any]:
    nested = {
        name: {"style": "deepObject", "explode": True}
        for name, schema in request["properties"].items()
        if schema.get("type") in ("array", "object")
    }
    return {"schema": {"$ref": REF + name}, **({"encoding": nested} if nested else {})}


def _responses(
    operation: Operation, refusals: tuple[Refusal, ...], schemas: Schemas
) -> dict[str, Any]:
    done = _done(operation, schemas)
    words = (
        "성공이면 code 0, 거절이면 다른 code · Done (code 0), or refused for a reason of business"
    )
    if operation.answer is PaymentAnnotation:
        words += (
            ". 결제되었는지는 response.status 로 판단하세요: 거절된 카드는 code 0, status failed 일 수 있습니다"
            " · Whether money was paid is said by response.status: a declined card may be code 0 and failed"
        )
    if operation.recall is not None:
        words += (
            ". PG가 답하지 않으면 code 1 과 Naru-Outcome: unknown 헤더: 거절이 아닙니다"
            " · A silent PG is code 1 with the header Naru-Outcome: unknown, and no refusal"
        )
    found: dict[str, Any] = {
        "200": _answer(
            words,
            {"oneOf": [done, REFUSED]},
            [each for each in refusals if each.status == 200],
        )
    }
    if operation.partial:
        found["207"] = _answer("일부만 성공 · A part of what was asked for", done, [])
    if operation.recall is not None:
        found["409"] = _answer(
            "같은 Idempotency-Key 로 다시 물었고 결과를 아직 알 수 없음"
            " · Repeated with its Idempotency-Key while the outcome is not known yet",
            {"anyOf": [_under_way(operation, schemas), REFUSED]},
            [each for each in refusals if each.status == 409],
        )
    stated = [*refusals]
    if operation.verb is not None:
        stated.append(Refusal(401, -1, messages.UNAUTHORIZED))
    for status in sorted({each.status for each in stated} - {int(each) for each in found}):
        found[str(status)] = _answer(
            _STATUS_WORDS.get(status, "거절 · Refused"),
            REFUSED,
            [each for each in stated if each.status == status],
        )
    found = dict(sorted(found.items()))
    found["default"] = _answer("그 밖의 거절 · Any other refusal", REFUSED, [])
    return found


_STATUS_WORDS = {
    400: "잘못된 요청 · The request itself is wrong",
    401: "인증 실패 · No token, or none that lives",
    404: "없음 · There is no such thing of this merchant",
    405: "허용되지 않음 · This thing cannot be asked so",
    409: "지금은 불가 · Not as things stand",
    429: "너무 많은 시도 · Too many failures",
    501: "지원하지 않음 · This PG cannot do it",
}


def _answer(words: str, schema: Schema, refusals: list[Refusal]) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if refusals:
        content["examples"] = {
            f"refused-{number}": {
                "summary": each.sentence,
                "value": {"code": each.code, "message": each.sentence, "response": None},
            }
            for number, each in enumerate(refusals, 1)
        }
    return {"description": words, "content": {JSON: content}}


def _done(operation: Operation, schemas: Schemas) -> Schema:
    properties: Schema = {"code": {"const": 0}, "message": {"type": "null"}}
    required = ["code", "message"]
    if operation.answer is None:
        properties["response"] = {"type": "null"}
    else:
        properties["response"] = schemas.of(operation.answer)
        required.append("response")
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _under_way(operation: Operation, schemas: Schemas) -> Schema:
    now = {} if operation.answer is None else schemas.of(operation.answer)
    return {
        "type": "object",
        "properties": {"code": {"const": 1}, "message": {"type": "string"}, "response": now},
        "required": ["code", "message"],
        "additionalProperties": False,
    }


def _refused() -> Schema:
    return {
        "type": "object",
        "description": "거절 · A refusal: `code` is not 0, `message` says why, `response` is null.",
        "properties": {
            "code": {"type": "integer", "not": {"const": 0}},
            "message": {"type": "string", "minLength": 1},
            "response": {"type": "null"},
            "error": {
                "type": "object",
                "description": "PG사 원본 응답 (FIDO 해제) · KCP's own answer, where FIDO was not released",
                "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
                "required": ["code", "message"],
                "additionalProperties": False,
            },
        },
        "required": ["code", "message", "response"],
        "additionalProperties": False,
    }


def _idempotency_key() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "같은 요청을 다시 보내도 한 번만 처리됩니다 · However often a request with one key is "
        f"repeated within {idempotency.KEPT.days} days, it has one effect and one answer. Beyond V1.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }


def _security() -> dict[str, Any]:
    said = "The access token of `POST /users/getToken`"
    return {
        "token": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": f"{said}, bare.",
        },
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": f"{said}, after `Bearer` or `Basic`.",
        },
        "tokenHeader": {
            "type": "apiKey",
            "in": "header",
            "name": "X-ImpTokenHeader",
            "description": f"{said}.",
        },
        "tokenQuery": {
            "type": "apiKey",
            "in": "query",
            "name": "_token",
            "description": f"{said}.",
        },
    }
