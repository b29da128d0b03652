"""Write the generated parts of docs/reference from the code itself, between their markers.

    python tools/write_docs.py            write what has changed
    python tools/write_docs.py --check    only name the stale pages; exit status 1 when there are some

A part begins with `<!-- from the code: NAME -->` and ends with `<!-- end -->`. What stands between the two
is nobody's to edit; tests/test_docs.py fails when it is stale.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

from naru import kit
from naru.certifier.attacks import FAMILIES
from naru.certifier.judge import RULES
from naru.certifier.result import Words
from naru.checkout import result
from naru.cli.main import COMMANDS, module_of
from naru.config import Settings
from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.limit import Limit
from naru.domain.money import Money
from naru.domain.payment import Buyer, Card, Payment, Step, Surface, VirtualAccount
from naru.domain.pg_profile import PROFILES, Mode, PgProfile, Shape
from naru.domain.task import SAID
from naru.kit import errors as kit_errors
from naru.kit import verify as kit_verify
from naru.kit.operations import Operations
from naru.payments import recovery
from naru.rest import (
    authenticate,
    coerce,
    door,
    idempotency,
    openapi,
    operations,
    payments,
    read_fields,
    reference,
)
from naru.rest.operation import Operation
from naru.rest.schema import Schemas
from naru.sandbox import cards, magic
from naru.store.audit import CHECKS, described
from tools import kit_calls

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference"
V1_OPERATIONS = ROOT / "tools" / "v1_operations.txt"
SIGNATURE_LENGTH_MAX = 400
PART = re.compile(
    r"(<!-- from the code: (?P<name>[a-z-]+) -->\n)(?P<text>.*?)(<!-- end -->)", re.DOTALL
)


# REST


def rest_table() -> str:
    """V1's own operations in V1's order, each with the tests that prove it; then what we serve beyond them."""
    served = {(each.method, each.path): each for each in operations()}
    proofs = proofs_of_operations()
    v1 = v1_operations()
    rows = []
    for number, (tag, method, path) in enumerate(v1, 1):
        each = served.get((method, path))
        name = f"`{method} {path}`"
        link = f"[{name}](#{_anchor(each)})" if each else f"{name} **not there yet**"
        said = f"{each.summary}<br>{each.english.rstrip('.')}" if each else ""
        rows.append((str(number), link, said, tag, _proof_cell(proofs.get((method, path), []))))
    beyond = [
        (
            f"[`{each.method} {each.path}`](#{_anchor(each)})",
            f"{each.summary}<br>{each.english.rstrip('.')}",
            _proof_cell(proofs.get((each.method, each.path), [])),
        )
        for each in operations()
        if (each.method, each.path) not in {row[1:] for row in v1}
    ]
    there = sum((method, path) in served for _, method, path in v1)
    proven = sum(bool(proofs.get(row[1:])) for row in v1 if row[1:] in served)
    return (
        f"Served: {there} of {len(v1)}. With a test of their own: {proven}.\n\n"
        + table(("", "operation", "한국어 · English", "tag", "proven by"), rows)
        + "\n\nBeyond the document, because clients call it:\n\n"
        + table(("operation", "한국어 · English", "proven by"), beyond)
        + "\n"
    )


def _proof_cell(proofs: list[tuple[str, str]]) -> str:
    """The tests that prove an operation, each linked to its file."""
    return "<br>".join(
        f"[{name.removeprefix('test_').replace('_', ' ')}](../../{file})" for file, name in proofs
    )


@cache
def proofs_of_operations() -> dict[tuple[str, str], list[tuple[str, str]]]:
    """File and name of every test that is marked with an operation, by verb and path."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        text = file.read_text("utf-8")
        if "mark.operation" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for word in _operation_marks(node):
                method, _, path = word.partition(" ")
                proof = (file.relative_to(ROOT).as_posix(), node.name)
                found.setdefault((method, path), []).append(proof)
    return found


def _operation_marks(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    for each in test.decorator_list:
        if isinstance(each, ast.Call) and ast.unparse(each.func) == "pytest.mark.operation":
            yield from (str(word.value) for word in each.args if isinstance(word, ast.Constant))


def rest_operations() -> str:
    """Every operation of the merchant's door: what it reads, what it answers, what it refuses."""
    document = openapi.document(operations(), "http://127.0.0.1:8800")
    parts = []
    for each in operations():
        verb = each.verb or each.open_verb
        said = document["paths"][each.path][each.method.lower()]
        parts.append(f"### {each.method} {each.path}\n\n{_said(verb)}")
        if each.open_verb is not None:
            parts[-1] += " Needs no token."
        if each.recall is not None:
            parts[-1] += " Takes an [Idempotency-Key](#idempotency-key)."
        if each.answer is not None:
            parts[-1] += f" Answers {reference.answer_of(said, link=False)}."
        rows = [
            (
                f"`{one.name}`",
                one.where.rpartition(" ")[2],
                _parameter_words(one),
                "refused" if one.needed else f"`{one.usual}`" if one.usual else "nothing",
            )
            for one in reference.parameters_of(said, document)
        ]
        if rows:
            parts.append(table(("parameter", "where", "type", "when left out"), rows))
        if example := reference.example_of(said):
            asked, answered = example
            parts.append(f"```http\n{asked}\n```\n\n```json\n{answered}\n```")
    return "\n\n".join(parts) + "\n"


def _parameter_words(one: reference.Parameter) -> str:
    words = one.kind if one.kind != "any" else "text or any JSON"
    said = one.said.rpartition(" · ")[2]
    return f"{words}; {said[0].lower()}{said[1:]}".rstrip(". ") if said else words


def _anchor(operation: Operation) -> str:
    """The id that a Markdown reader gives to the heading of this operation."""
    heading = f"{operation.method} {operation.path}".lower()
    return re.sub(r"[^a-z0-9_ -]", "", heading).replace(" ", "-")


def v1_operations() -> list[tuple[str, str, str]]:
    """Tag, method and path of all 80 operations of V1."""
    lines = V1_OPERATIONS.read_text().splitlines()
    rows = [tuple(line.split()) for line in lines if not line.startswith("#")]
    return [(tag, method, path) for tag, method, path in rows]


def rest_limits() -> str:
    """The limits of the transport, from the constants that hold them."""
    rows = [
        ("body", f"{door.BODY_BYTES_MAX:,} bytes", "413"),
        ("time for the body to arrive", f"{door.BODY_SECONDS_MAX:g} s", "408"),
        ("nesting", f"{read_fields.DEPTH_MAX} levels", "400"),
        ("fields", f"{read_fields.FIELDS_MAX:,}", "400"),
        ("any text without a limit of its own", f"{coerce.Text().length:,} characters", "400"),
        ("ids in one `GET /payments`", str(payments.IDS_MAX), "400"),
        ("`limit` of a page", f"{payments.LIMIT_MAX:,}", "400"),
        ("`from` to `to`", f"{payments.WINDOW_MAX.days} days", "400"),
        ("life of a token", f"{authenticate.TOKEN_LIFE.seconds} s", "401"),
        ("wrong API secrets for one key", _pace(authenticate.FAILURES_OF_KEY), "429"),
        ("wrong API secrets from one address", _pace(authenticate.FAILURES_OF_ADDRESS), "429"),
        ("life of an `Idempotency-Key`", f"{idempotency.KEPT.days} days", "it is a new one"),
        (
            "token asked again in its last",
            f"{authenticate.TOKEN_LAST_MINUTE.seconds} s",
            f"lives {authenticate.TOKEN_EXTENSION.seconds} s longer",
        ),
    ]
    return table(("what", "limit", "beyond it"), rows) + "\n"


def _pace(limit: Limit) -> str:
    return f"{limit.most} in {limit.seconds} s"


def rest_objects() -> str:
    """Every object of an answer and its keys, in the order of the wire."""
    schemas = Schemas()
    for each in operations():
        if each.answer is not None:
            schemas.of(each.answer)
    parts = []
    for name, schema in schemas.named.items():
        keys = ", ".join(
            f"`{key}` {_type_words(below)}"
            + ("" if key in schema["required"] else " (may be absent)")
            for key, below in schema["properties"].items()
        )
        parts.append(f"**{name}**: {schema['description']}\n\n{keys}")
    return "\n\n".join(parts) + "\n"


def _type_words(schema: dict[str, Any]) -> str:
    """The type of a key in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type_words(each) for each in schema["anyOf"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_type_words(schema['items'])}"
    words = {"string": "text", "integer": "integer", "boolean": "boolean"}
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(words.get(each, str(each)) for each in kinds)


# SDK


def sdk_windows() -> str:
    """How the window opens, by pg code."""
    head = ("pg", "PC", "mobile", "methods", "currency", "new callback", "needs", "sandbox MID")
    return table(head, (_window(each) for each in PROFILES.values())) + "\n"


def _window(manners: PgProfile) -> tuple[str, ...]:
    popup = f" {manners.popup_size[0]}×{manners.popup_size[1]}"
    desk = manners.pc.value + (popup if manners.pc is Mode.POPUP else "")
    if manners.popup_param:
        desk += f"; `popup: true`: popup{popup}"
    if manners.popup_off:
        desk += "; `popup: false`: iframe"
    if manners.redirect_result:
        desk += "; result at `m_redirect_url`"
    phone = manners.mobile.value
    if manners.mobile_by_redirect_url:
        phone += " when `m_redirect_url` is given, else iframe"
    methods = manners.wallet or " ".join(manners.methods)
    currency = manners.currency
    if manners.refuses_currency:
        currency += f", never {' '.join(manners.refuses_currency)}"
    needs = " ".join(f"`{name}`" for name in manners.required)
    return (
        f"`{manners.pg_code}`",
        desk,
        phone,
        methods,
        currency,
        manners.shape.value,
        needs or "–",
        f"`{manners.mid}`",
    )


def sample_payment() -> Payment:
    """A card payment that was paid on a page, for the examples."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Payment(
        imp_uid=ImpUid("imp_123456789012"),
        merchant_id=1,
        merchant_uid=MerchantUid("order-1"),
        channel_id=1,
        pg_code="html5_inicis",
        mid="INIpayTest",
        sandbox=True,
        surface=Surface.PC,
        pay_method="card",
        step=Step.PAID,
        version=3,
        amount=Money(1004),
        cancelled=Money(0),
        tax_free=Money(0),
        vat=None,
        pg_order_no="n000000000000000000000001",
        started_at=moment,
        paid_at=moment,
        name="당근 10kg",
        buyer=Buyer(name="홍길동", tel="010-4242-4242"),
        pg_tid="s_1",
        approval_number="45918441",
        receipt_url="https://pg.example.com/receipts/s_1",
        card=Card("366", "신한카드", "451842******7811", 0, 0),
        return_url="https://shop.example.com/done?cart=7#top",
        callback_shape=Shape.FULL,
    )


def sdk_callbacks() -> str:
    """The callback's object in its two shapes, as naru/checkout/result.py writes it."""
    paid = sample_payment()
    moment = paid.started_at
    account = replace(
        paid,
        step=Step.WAITING_DEPOSIT,
        pay_method="vbank",
        paid_at=None,
        card=None,
        approval_number=None,
        virtual_account=VirtualAccount(
            "088", "신한은행", "56211105948400", "나루 상점", moment, moment
        ),
    )
    words = result.user_cancel_words(paid.pg_code, paid.callback_shape)
    closed = replace(
        paid, step=Step.FAILED, paid_at=None, card=None, fail_code="F400", fail_reason=words
    )
    gained = result.callback_object(account).keys() - result.callback_object(paid).keys()
    refused = result.refusal_object(Shape.FULL, "order-1", "NOT_READY", "…")
    short = Shape.MINIMAL
    return (
        "\n\n".join(
            (
                "Paid, full shape:",
                _json(result.callback_object(paid)),
                "A virtual account adds " + ", ".join(f"`{key}`" for key in sorted(gained)) + ".",
                "Closed by the buyer, full shape, what differs:",
                _json(_differences(result.callback_object(paid), result.callback_object(closed))),
                "Paid and failed, minimal shape:",
                _json(result.callback_object(replace(paid, callback_shape=short))),
                _json(result.callback_object(replace(closed, callback_shape=short))),
                "No payment came to exist:",
                _json(refused),
            )
        )
        + "\n"
    )


def sdk_redirects() -> str:
    """What is added to m_redirect_url."""
    paid = sample_payment()
    failed = replace(paid, step=Step.FAILED, fail_code="3011", fail_reason="한도초과")
    rows = [
        ("paid, full shape", paid),
        ("failed, full shape", failed),
        ("paid, minimal shape", replace(paid, callback_shape=Shape.MINIMAL)),
        ("failed, minimal shape", replace(failed, callback_shape=Shape.MINIMAL)),
        ("paid, `kcp_quick`", replace(paid, pg_code="kcp_quick")),
    ]
    return (
        f"`m_redirect_url` was `{paid.return_url}`:\n\n"
        + table(
            ("ending", "address"),
            ((words, f"`{result.redirect_address(payment)}`") for words, payment in rows),
        )
        + "\n"
    )


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in after.items() if before.get(key, "") != value}


def _json(value: object) -> str:
    return f"```json\n{json.dumps(value, ensure_ascii=False, indent=1)}\n```"


# Kit


def kit_names() -> str:
    """The public names of naru.kit with their signatures."""
    parts = []
    for name in kit.__all__:
        value = getattr(kit, name)
        if isinstance(value, type) and issubclass(value, kit.KitError):
            continue  # the tree of errors tells them
        if name == "Verdict":
            one_of = ", ".join(f"`{each.__name__}`" for each in typing.get_args(value))
            parts.append(f"- `Verdict`: one of {one_of}")
            continue
        signature = _signature(value)
        if len(signature) > SIGNATURE_LENGTH_MAX:
            fields = " ".join(f"`{field}`" for field in inspect.signature(value).parameters)
            parts.append(f"- `{name}`<br>{_said(value)} Fields: {fields}")
            continue
        parts.append(f"- `{name}{signature}`<br>{_said(value)}")
    return "\n".join(parts) + "\n"


def kit_operations() -> str:
    """What both clients can ask."""
    rows = []
    for name, operation in vars(Operations).items():
        if name.startswith("_"):
            continue
        describe = operation._describe
        returned = inspect.signature(describe).return_annotation
        signature = _signature(describe).rpartition(" -> ")[0]
        rows.append(
            f"- `{name}{signature} -> {returned.removeprefix('Call[').removesuffix(']')}`<br>"
            + _said(describe)
        )
    return "\n".join(rows) + "\n"


def kit_paths() -> str:
    """V1's operations in V1's order, and the method that asks each."""
    methods = kit_calls.asked()
    rows = (
        (
            f"`{method} {path}`",
            f"`{name}`" if (name := methods.get((method, path))) else "the client itself",
        )
        for _, method, path in v1_operations()
    )
    return table(("V1", "method"), rows) + "\n"


def kit_error_tree() -> str:
    """The picture on top of naru/kit/errors.py."""
    return f"```text\n{inspect.getdoc(kit_errors)}\n```\n"


def kit_reasons() -> str:
    """Why a payment is `Forged`, with the sentence beside each word in naru/kit/verify.py."""
    source = inspect.getsource(kit_verify)
    found = re.findall(r'^    "([a-z_]+)",  # (.+)$', source, re.MULTILINE)
    assert tuple(word for word, _ in found) == typing.get_args(kit_verify.Reason)
    return table(("reason", "meaning"), ((f"`{word}`", said) for word, said in found)) + "\n"


def _signature(value: Any) -> str:
    # Annotations are kept as written, so Python shows them in quotes.
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(value)))
    return text.removesuffix(" -> None").replace("frozenset()", "()")


# Settings and commands


def settings_variables() -> str:
    """Every setting of naru/config.py."""
    said = _attribute_docs(Settings)
    defaults = {name: field.default for name, field in Settings.__dataclass_fields__.items()}
    rows = [
        (f"`NARU_{name.upper()}`", _setting(default), said[name])
        for name, default in defaults.items()
    ]
    return table(("variable", "default", "what"), rows) + "\n"


def _setting(value: object) -> str:
    if value is None or value == ():
        return "none"
    return f"`{('on' if value else 'off') if isinstance(value, bool) else value}`"


def _attribute_docs(kind: type) -> dict[str, str]:
    """The string under each field of a class."""
    [body] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(body, ast.ClassDef)
    said = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            assert isinstance(field.target, ast.Name)
            assert isinstance(below.value, ast.Constant)
            said[field.target.id] = " ".join(str(below.value.value).split())
    return said


def parser_of(command: str) -> argparse.ArgumentParser:
    """The arguments of one command, as its own file declares them."""
    parser = argparse.ArgumentParser(prog=f"naru {command}", add_help=False)
    module_of(command).add_arguments(parser)
    return parser


def settings_commands() -> str:
    """Every command of `naru`: its verbs, their arguments, and its last words."""
    parts = []
    for name, summary in COMMANDS.items():
        parser = parser_of(name)
        parts.append(f"### naru {name}\n\n{summary[0].upper()}{summary[1:]}.")
        lines = [f"- `{line}`: {said}" for line, said in _forms(parser, f"naru {name}")]
        if lines:
            parts.append("\n".join(lines))
        if parser.epilog:
            parts.append(f"```text\n{parser.epilog}\n```")
    return "\n\n".join(parts) + "\n"


def _forms(parser: argparse.ArgumentParser, line: str, said: str = "") -> Iterator[tuple[str, str]]:
    words, notes = [line], [said]
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help for each in action._choices_actions}
            for verb, below in action.choices.items():
                yield from _forms(below, f"{line} {verb}", (helps.get(verb) or "").strip())
            return
        word = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        if action.option_strings:
            option = action.option_strings[0] + (f" {word}" if action.nargs != 0 else "")
            words.append(option if action.required else f"[{option}]")
            if action.help:
                notes.append(f"`{action.option_strings[0]}`: {action.help}")
        else:
            words.append(f"[{word}]" if action.nargs == "?" else word)
            if action.help:
                notes.append(f"{word}: {action.help}")
    notes = [note for note in notes if note]
    if len(words) > 1 or said:
        yield " ".join(words), ". ".join(note[0].upper() + note[1:] for note in notes) or "–"


# Sandbox


def sandbox_cards() -> str:
    """The test cards."""
    proof = {
        "isp": "a certificate, installed in the window",
        "mpi": f"`{cards.MPI_PASSWORD}`",
        "simple": f"PIN `{cards.SIMPLE_PIN}`",
    }
    rows = (
        (
            f"`{card.id}`",
            card.issuer_name,
            f"`{card.number}`",
            f"{card.expiry[:2]}/{card.expiry[2:]}",
            card.cvc if card.auth == "mpi" else "–",
            proof[card.auth],
            f"`{card.scenario}`" if card.scenario else "approved",
        )
        for card in cards.CARDS
    )
    return table(("id", "company", "number", "expiry", "CVC", "proof", "what happens"), rows) + "\n"


def sandbox_scenarios() -> str:
    """The magic table."""
    rows = (
        (
            f"`{each.name}`",
            each.stage,
            f"`{each.amount:,}`" if each.amount else "–",
            f"`{each.card_id}`" if each.card_id else "–",
            f"`{each.code}` {each.message}" if each.code else "–",
            each.en,
            each.ko,
        )
        for each in magic.SCENARIOS
    )
    head = ("scenario", "at", "amount", "card", "the PG's words", "what happens", "일어나는 일")
    return table(head, rows) + "\n"


# Tasks


def tasks_kinds() -> str:
    """Every kind of task: what happened, what to do."""
    rows = (
        (f"`{kind}`", said.happened, said.advice, f"{said.happened_ko} {said.advice_ko}")
        for kind, said in SAID.items()
    )
    return table(("kind", "what happened", "what to do", "한국어"), rows) + "\n"


def tasks_table() -> str:
    """The table on top of naru/payments/recovery.py."""
    picture = (inspect.getdoc(recovery) or "").split("\n\n")[2]
    return f"```text\n{inspect.cleandoc(picture)}\n```\n"


# Writing


def table(head: tuple[str, ...], rows: typing.Iterable[tuple[str, ...]]) -> str:
    """A Markdown table; a bar inside a cell is escaped."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def _said(value: Any) -> str:
    """The docstring as one line; paragraphs are joined."""
    return " ".join((inspect.getdoc(value) or "").split())


def audit_checks() -> str:
    """What `naru audit` checks, promise by promise."""
    rows = [(described(query), name) for name, query in CHECKS.items()]
    return table(
        ("promise", "check", "what must be true", "when it is not"),
        [(promise, f"`{name}`", sentence, remedy) for (promise, sentence, remedy), name in rows],
    )


# The certifier


def certifier_rules(korean: bool) -> str:
    """What must hold after every attack."""
    rows = [
        (f"`{rule.id}`", f"**{_said_in(rule.title, korean)}.** {_said_in(rule.text, korean)}")
        for rule in RULES
    ]
    return table(("규칙", "뜻") if korean else ("rule", "what it says"), rows) + "\n"


def certifier_attacks(korean: bool) -> str:
    """Every attack by its family: name, what is done, what it needs of the adapter."""
    head = ("이름", "무엇을 하는가", "어댑터") if korean else ("name", "what is done", "needs")
    parts = []
    for family in FAMILIES:
        rows = [
            (
                f"`{attack.name}`",
                f"**{_said_in(attack.named.title, korean)}.** {_said_in(attack.named.story, korean)}",
                " ".join(f"`[{name}]`" for name in sorted(attack.needs)),
            )
            for attack in family.attacks
        ]
        parts.append(f"### {_said_in(family.words, korean)}\n\n{table(head, rows)}")
    return "\n\n".join(parts) + "\n"


def certifier_count() -> str:
    """How many there are."""
    many = sum(len(family.attacks) for family in FAMILIES)
    return f"**{many}** attacks and accidents, {len(RULES)} rules.\n"


def _said_in(words: Words, korean: bool) -> str:
    return words.ko if korean else words.en


PARTS: dict[str, Callable[[], str]] = {
    "rest-table": rest_table,
    "rest-operations": rest_operations,
    "rest-limits": rest_limits,
    "rest-objects": rest_objects,
    "sdk-windows": sdk_windows,
    "sdk-callbacks": sdk_callbacks,
    "sdk-redirects": sdk_redirects,
    "kit-names": kit_names,
    "kit-operations": kit_operations,
    "kit-paths": kit_paths,
    "kit-errors": kit_error_tree,
    "kit-reasons": kit_reasons,
    "settings-variables": settings_variables,
    "settings-commands": settings_commands,
    "audit-checks": audit_checks,
    "tasks-kinds": tasks_kinds,
    "tasks-table": tasks_table,
    "sandbox-cards": sandbox_cards,
    "sandbox-scenarios": sandbox_scenarios,
    "certifier-count": certifier_count,
    "certifier-rules": partial(certifier_rules, korean=False),
    "certifier-rules-ko": partial(certifier_rules, korean=True),
    "certifier-attacks": partial(certifier_attacks, korean=False),
    "certifier-attacks-ko": partial(certifier_attacks, korean=True),
}


def renewed(page: str) -> str:
    """The text of a page with every generated part as the code has it today."""

    def write(match: re.Match[str]) -> str:
        return f"{match[1]}\n{PARTS[match['name']]()}\n{match[4]}"

    return PART.sub(write, page)


def stale_pages() -> list[Path]:
    """The pages whose generated parts differ from the code."""
    pages = sorted(REFERENCE.glob("*.md"))
    return [each for each in pages if renewed(each.read_text("utf-8")) != each.read_text("utf-8")]


def main(words: list[str]) -> int:
    """Write or check. The exit status is 1 when a check finds a stale page."""
    stale = stale_pages()
    for page in stale:
        print(page.relative_to(ROOT))
        if words != ["--check"]:
            page.write_text(renewed(page.read_text("utf-8")), "utf-8")
    return int(bool(stale) and words == ["--check"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
