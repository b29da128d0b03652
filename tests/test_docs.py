"""The documents tell the truth: generated parts are fresh, examples run, tables name what the code reads."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
import urllib3

from naru.checkout.read_request import BUYER_LENGTHS
from naru.cli.main import COMMANDS, EPILOG, main
from naru.cli.seed import IMP_KEY, IMP_SECRET
from naru.config import Settings
from naru.domain.pg_profile import PROFILES
from naru.kit import Client
from naru.rest import operations
from tests.guide.pages import blocks as fenced
from tests.guide.pages import chapter, write_shop
from tests.support.stand_in_gateway import (
    API_KEY,
    API_SECRET,
    StandInGateway,
    answers,
    hangs_up,
)
from tools import write_docs

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
START_SECONDS_MAX = 120.0  # Generous: every core may be busy with other tests.
STEP_SECONDS_MAX = 60.0


def page(name: str) -> str:
    """The text of a page."""
    return (ROOT / name).read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)


def names_of(name: str, heading: str) -> set[str]:
    """The code words in the first column of the table under a heading."""
    section = page(name).split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return set(re.findall(r"^\| `([^`(]+)", section, re.MULTILINE))


def run_python(text: str) -> dict[str, Any]:
    """What a Python block defines."""
    names: dict[str, Any] = {"__name__": "a_page"}
    exec(compile(text, "a page", "exec"), names)
    return names


# What is written from the code.


def test_the_generated_parts_are_fresh() -> None:
    assert write_docs.stale_pages() == [], "run `make docs`"


def test_a_stale_part_is_found_and_written_anew() -> None:
    fresh = page("docs/reference/sandbox.md")
    stale = fresh.replace("4518421234567811", "4518420000000000")
    assert stale != fresh
    assert write_docs.renewed(stale) == fresh
    assert write_docs.renewed(fresh) == fresh


def test_every_generated_part_stands_on_one_page() -> None:
    pages = "".join(each.read_text("utf-8") for each in sorted(DOCS.rglob("*.md")))
    placed = [match["name"] for match in write_docs.PART.finditer(pages)]
    assert sorted(placed) == sorted(write_docs.PARTS)


def test_every_operation_of_v1_is_served_and_proven() -> None:
    v1 = [row[1:] for row in write_docs.v1_operations()]
    served = {(each.method, each.path) for each in operations()}
    proofs = write_docs.proofs_of_operations()

    assert len(v1) == len(set(v1)) == 80
    assert set(v1) - served == set()
    assert [row for row in v1 if not proofs.get(row)] == []
    # A mark that names no operation of ours proves nothing.
    assert proofs.keys() - served == set()


def test_every_public_thing_of_the_kit_and_every_setting_is_on_its_page() -> None:
    kit = importlib.import_module("naru.kit")
    text = page("docs/reference/kit.md")
    for name in kit.__all__:
        assert re.search(rf"\b{name}\b", text), name
    text = page("docs/reference/settings.md")
    for name in Settings.__dataclass_fields__:
        assert f"`NARU_{name.upper()}`" in text


# What people wrote, held against the code.


def test_every_page_begins_with_a_korean_paragraph_and_is_in_the_index() -> None:
    index = page("docs/README.md")
    for each in [
        *sorted((DOCS / "how-to").glob("*.md")),
        *sorted((DOCS / "reference").glob("*.md")),
    ]:
        name = each.relative_to(DOCS).as_posix()
        assert f"({name})" in index, name
    ours = ["docs/README.md", "SECURITY.md"]
    ours += [f"docs/how-to/{each.name}" for each in (DOCS / "how-to").glob("*.md")]
    ours += [f"docs/reference/{each}.md" for each in ("rest", "sdk", "kit", "settings", "sandbox")]
    for name in [*ours, "docs/reference/compatibility.md"]:
        first = page(name).split("\n\n")[1]
        assert re.search("[가-힣]{2}", first), name


def test_the_help_of_naru_lists_every_setting() -> None:
    told = set(re.findall(r"^  (NARU_[A-Z_]+) ", EPILOG, re.MULTILINE))
    assert told == {f"NARU_{name.upper()}" for name in Settings.__dataclass_fields__}


def test_every_command_that_a_page_writes_is_understood() -> None:
    understood = 0
    for each in [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "SECURITY.md"]:
        if each.name == "settings.md":
            continue  # written from the parsers themselves
        text = each.read_text("utf-8")
        whole = re.findall(r"^ *naru ([a-z]+ [^\n]+)$", text, re.MULTILINE)
        # Inside a sentence a command without an argument is only its name.
        whole += re.findall(r"`naru ([a-z]+ [^`…|\[]*[A-Z0-9][^`…|\[]*)`", text)
        for line in whole:
            # Two blanks begin an explanation.
            command, *words = shlex.split(re.split(r" {2,}", line, maxsplit=1)[0])
            words = ["1" if word == "NUMBER" else word for word in words]
            if command in COMMANDS and "…" not in words and ">" not in words:
                write_docs.parser_of(command).parse_args(words)
                understood += 1
    assert understood > 12


def test_every_variable_that_a_program_reads_is_on_the_settings_page() -> None:
    text = page("docs/reference/settings.md")
    sources = [*ROOT.glob("naru/**/*.py"), *ROOT.glob("tools/*.py"), ROOT / "Makefile"]
    read = set()
    for source in sources:
        read |= set(re.findall(r"""["' ](NARU_[A-Z_]*[A-Z])\b""", source.read_text("utf-8")))
    assert {"NARU_SECRET", "NARU_SHOP_IMP_SECRET"} <= read
    assert {name for name in read if f"`{name}`" not in text} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_commands_says_what_help_says(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    text = page("docs/reference/settings.md")
    section = text.split(f"### naru {command}\n", 1)[1].split("\n### ", 1)[0]
    verbs = re.findall(rf"^- `naru {command} ([a-z-]+)", section, re.MULTILINE)
    for verb in verbs:
        assert re.search(rf"^ +{verb}\b", told, re.MULTILINE), verb
    for option in re.findall(rf"`naru {command}[^`]*?(--[a-z-]+)", section):
        assert option in told or verbs


def test_the_page_names_every_parameter_that_is_read_and_no_other() -> None:
    read = {f"buyer_{field}" for field in BUYER_LENGTHS}
    door = page("naru/checkout/read_request.py")
    read |= set(re.findall(r'param\.get\(\s*"(\w+)"', door))
    read |= set(re.findall(r'_(?:text|cut|money|flag)\(\s*param, "(\w+)"', door))
    assert 'else "vat"' in door
    read.add("vat")
    rules = page("naru/domain/window_rules.py")
    read |= set(re.findall(r'(?:param\.get|_object)\((?:param, )?"(\w+)"\)', rules))
    assert 'in ("products", "escrowProducts"' in rules
    read.add("products")
    for source in (
        "naru/checkout/result.py",
        "naru/payments/start.py",
        "naru/connectors/sandbox/goods.py",
    ):
        read |= set(re.findall(r'\.request\.get\("(\w+)"\)', page(source)))
    for script in (ROOT / "naru/checkout/sdk").glob("*.js"):
        found = re.findall(
            r'own\((?:param|given|copy|session\.param), "(\w+)"\)', script.read_text("utf-8")
        )
        read |= set(found)
    read |= {name for manners in PROFILES.values() for name in manners.required}
    read |= {need.name for manners in PROFILES.values() for need in manners.needs}

    assert "amount" in read
    assert names_of("docs/reference/sdk.md", "Parameters of request_pay") == read


def test_the_page_tells_where_the_buyers_words_are_cut() -> None:
    text = page("docs/reference/sdk.md")
    for field, length in BUYER_LENGTHS.items():
        assert f"| `buyer_{field}` | cut at {length} |" in text


def test_the_page_names_every_function_of_the_sdk() -> None:
    script = page("naru/checkout/sdk/imp.js")
    functions = set(re.findall(r"^  (\w+): function \(", script, re.MULTILINE))

    assert names_of("docs/reference/sdk.md", "Functions") == {f"IMP.{name}" for name in functions}


def test_every_error_code_that_we_make_is_on_the_page() -> None:
    told = names_of("docs/reference/sdk.md", "Error codes")
    made: set[str] = set()
    for source in [
        *(ROOT / "naru/checkout").glob("*.py"),
        *(ROOT / "naru/checkout/sdk").glob("*.js"),
    ]:
        text = source.read_text("utf-8")
        made |= set(re.findall(r'"(F\d{3,4}|NOT_READY|NOT READY)"', text))
    assert made == told


def test_every_place_that_the_compatibility_page_names_exists() -> None:
    rows = re.findall(r"^\| .+ \|$", page("docs/reference/compatibility.md"), re.MULTILINE)
    named = 0
    for row in rows:
        where = row.rsplit(" | ", 1)[1]
        path: Path | None = None
        for word in re.findall(r"`([^`]+)`", where):
            if word.startswith("naru/"):
                path = ROOT / word
                assert path.is_file(), word
                named += 1
            elif path is not None and re.fullmatch(r"[A-Za-z_.]+", word) and "NARU_" not in word:
                assert word.rpartition(".")[2] in path.read_text("utf-8"), row
    assert named > 40


# Examples in Python.


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_the_snippets_of_the_readme_run(name: str) -> None:
    snippets = blocks(name, "python")
    assert snippets
    for snippet in snippets:
        defined = run_python(snippet)
        assert isinstance(defined["client"], Client)
        assert IMP_KEY in snippet
        assert IMP_SECRET in snippet


@pytest.fixture
def shop() -> Iterator[tuple[StandInGateway, Callable[[str], str], sqlite3.Connection]]:
    """A gateway, the kit page's `finish` before it, and the shop's database."""
    [text] = blocks("docs/reference/kit.md", "python")
    example = run_python(text)
    database = sqlite3.connect(":memory:")
    database.execute(example["TABLE"])
    for order in ("order-1", "order-2"):
        database.execute("INSERT INTO orders VALUES (?, 64900, NULL)", (order,))
    with StandInGateway() as gateway:
        client = Client(API_KEY, API_SECRET, base_url=gateway.url, timeout_seconds=5)

        def finish(imp_uid: str) -> str:
            return str(example["finish"](client, database, imp_uid, test=True))

        yield gateway, finish, database
    database.close()


def test_the_kits_example_finishes_an_order_once(
    shop: tuple[StandInGateway, Callable[[str], str], sqlite3.Connection],
) -> None:
    gateway, finish, database = shop
    imp_uid = gateway.pay("order-1", 64900)

    assert [finish(imp_uid), finish(imp_uid)] == ["paid", "paid"]
    rows = database.execute("SELECT merchant_uid, paid_by FROM orders ORDER BY 1").fetchall()
    assert rows == [("order-1", imp_uid), ("order-2", None)]


def test_the_kits_example_believes_no_forger_and_survives_a_sick_gateway(
    shop: tuple[StandInGateway, Callable[[str], str], sqlite3.Connection],
) -> None:
    gateway, finish, database = shop
    assert finish(gateway.pay("order-1", 100)) == "forged"
    assert finish(gateway.pay("nobody", 64900)) == "forged"
    assert finish("imp_unknown") == "forged"
    assert finish("../users/pg") == "forged"
    assert finish(gateway.fail("order-1", 64900)) == "not paid"
    assert finish(gateway.issue_account("order-1", 64900)) == "not paid"
    good = gateway.pay("order-1", 64900)
    gateway.faults += [hangs_up] * 3
    assert finish(good) == "later"
    gateway.faults += [answers(503, {})] * 3
    assert finish(good) == "later"
    assert database.execute("SELECT count(paid_by) FROM orders").fetchone() == (0,)
    assert finish(good) == "paid"
    # Another payment for the same order is not taken as well.
    assert finish(gateway.pay("order-1", 64900)) == "forged"


def test_the_kits_example_lets_no_payment_pay_for_two_orders(
    shop: tuple[StandInGateway, Callable[[str], str], sqlite3.Connection],
) -> None:
    gateway, finish, database = shop
    imp_uid = gateway.pay("order-1", 64900)
    assert finish(imp_uid) == "paid"
    # A gateway that now says another order of that very payment.
    gateway.payments[imp_uid]["merchant_uid"] = "order-2"
    assert finish(imp_uid) == "forged"
    rows = database.execute("SELECT paid_by FROM orders ORDER BY merchant_uid").fetchall()
    assert rows == [(imp_uid,), (None,)]


def test_the_webhook_example_believes_signed_words_only() -> None:
    [text] = blocks("docs/how-to/webhooks.md", "python")
    receive = run_python(text)["receive"]
    secret = "whsec_bmFydSBuYXJ1IG5hcnUgbmFydSBuYXJ1IG5hcnUh"
    body = json.dumps({"imp_uid": "imp_1", "merchant_uid": "o", "status": "paid"}).encode()
    now = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": standardwebhooks.Webhook(secret).sign("msg_1", now, body.decode()),
    }
    heard: list[str] = []

    def finish(imp_uid: str) -> str:
        heard.append(imp_uid)
        return "paid" if len(heard) < 2 else "later"

    assert receive(body, headers, secret, finish) == 200
    assert receive(body, headers, secret, finish) == 503
    assert receive(body.replace(b"imp_1", b"imp_2"), headers, secret, finish) == 400
    assert receive(body, {"Content-Type": "application/json"}, secret, finish) == 400
    assert heard == ["imp_1", "imp_1"]


# Commands, before a demo that the CI page itself starts and stops.


@dataclass
class RunningDemo:
    """A demo on ports of its own, and how to say a page's words to it."""

    folder: Path
    ports: dict[str, str]

    @property
    def url(self) -> str:
        """The gateway's address."""
        return "http://" + self.ports["127.0.0.1:8800"]

    def here(self, text: str) -> str:
        """The words of a page with this demo's ports and this Python in them."""
        text = re.sub(r"127\.0\.0\.1:(880\d)", lambda found: self.ports[found[0]], text)
        return text.replace("naru demo", f"{shlex.quote(sys.executable)} -m naru.cli.main demo")

    def run(self, words: list[str], **environ: str) -> str:
        """What a program prints."""
        done = subprocess.run(
            words, capture_output=True, text=True, cwd=self.folder,
            env=os.environ | environ, timeout=STEP_SECONDS_MAX, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def demo() -> Iterator[RunningDemo]:
    """A demo, started by the first shell block of the CI page and stopped by its second."""
    from naru.bench.demo import free_ports

    start, stop = blocks("docs/how-to/ci.md", "sh")
    folder = Path(tempfile.mkdtemp(prefix="naru-docs-"))
    folder.chmod(0o711)  # the database runs as another user when we are root
    gateway, shop, sandbox = map(str, free_ports(3))
    ports = {
        "127.0.0.1:8800": f"127.0.0.1:{gateway}",
        "127.0.0.1:8801": f"127.0.0.1:{shop}",
        "127.0.0.1:8802": f"127.0.0.1:{sandbox}",
    }
    demo = RunningDemo(folder, ports)
    script = demo.here(f"{start}\necho IT-IS-UP\nread -r line\n{stop}\necho IT-IS-DOWN\n")
    plain = {name: text for name, text in os.environ.items() if not name.startswith("NARU_")}
    environ = plain | {
        "NARU_HOME": str(folder / "home"),
        "NARU_PORT": gateway,
        "NARU_SHOP_PORT": shop,
        "NARU_SANDBOX_PORT": sandbox,
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        ["bash", "-eu", "-c", script], cwd=folder, env=environ, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    # A demo that never becomes ready is ended, so that the reading below ends as well.
    too_late = threading.Timer(START_SECONDS_MAX, process.kill)
    too_late.start()
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "IT-IS-UP\n", (folder / "naru.log").read_text()
        too_late.cancel()
        yield demo
        said, _ = process.communicate("\n", timeout=STEP_SECONDS_MAX)
        assert said == "IT-IS-DOWN\n"
        assert process.returncode == 0
    finally:
        too_late.cancel()
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait(10)
        shutil.rmtree((folder / "home" / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def imp_uid(demo: RunningDemo) -> str:
    """A payment, made by the program of the CI page; the curls of the REST page give it back."""
    return pay(demo)


def pay(demo: RunningDemo) -> str:
    """Pay 1,004 won by the program of the CI page; the payment's number."""
    [program] = blocks("docs/how-to/ci.md", "python")
    (demo.folder / "pay.py").write_text(demo.here(program), "utf-8")
    return demo.run([sys.executable, "pay.py"], PYTHONPATH=str(ROOT)).strip()


def test_the_ci_page_pays(imp_uid: str) -> None:
    assert re.fullmatch(r"imp_\d{12}", imp_uid)


def test_every_curl_of_the_rest_page_answers_as_printed(demo: RunningDemo, imp_uid: str) -> None:
    assert shutil.which("curl"), "the pages speak curl; install it"
    text = page("docs/reference/rest.md")
    pairs = re.findall(r"^```sh\n(.*?)^```\n```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(pairs) == len(blocks("docs/reference/rest.md", "sh")) >= 8

    token = ""
    for asked, printed in pairs:
        commands = re.findall(r"^curl (?:.*\\\n)*.*$", demo.here(asked), re.MULTILINE)
        expected = printed.strip().splitlines()
        assert len(commands) == len(expected), asked
        for command, line in zip(commands, expected, strict=True):
            said = demo.run(["bash", "-c", command], TOKEN=token, IMP_UID=imp_uid).strip()
            pattern = ".*".join(map(re.escape, line.split("…")))
            assert re.fullmatch(pattern, said), f"{command}\n{said}"
            if found := re.search(r'"access_token":"([0-9a-f]+)"', said):
                token = found[1]


def test_every_page_for_people_of_the_sandbox_is_there(demo: RunningDemo) -> None:
    from urllib.request import urlopen

    listed = names_of("docs/reference/sandbox.md", "Pages for people")
    sandbox = "http://" + demo.ports["127.0.0.1:8802"]
    plain = {each for each in listed if "{" not in each}
    assert len(plain) >= 5
    for path in plain:
        with urlopen(sandbox + path, timeout=20) as answer:
            assert answer.status == 200


@pytest.fixture
def naru(
    demo: RunningDemo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """The command `naru` at the demo: what it prints when it is content."""
    monkeypatch.setenv("NARU_HOME", str(demo.folder / "home"))
    monkeypatch.setenv("NARU_SANDBOX_PORT", demo.ports["127.0.0.1:8802"].partition(":")[2])

    def say(line: str) -> str:
        status = main(shlex.split(line))
        said = capsys.readouterr()
        assert status == 0, said.err
        return said.out

    return say


def commands_in(text: str) -> list[str]:
    """What stands behind `naru` in the lines of a block; two blanks begin an explanation."""
    lines = [line.strip().removeprefix(".venv/bin/") for line in text.splitlines()]
    return [re.split(r" {2,}", line)[0][5:] for line in lines if line.startswith("naru ")]


def test_the_commands_and_the_snippet_of_the_readme_work_at_a_demo(
    demo: RunningDemo, naru: Callable[[str], str]
) -> None:
    imp_uid = pay(demo)
    make, curl, looks = [each.text for each in fenced(ROOT / "README.md") if not each.language]
    # The first is the fixture `demo` (tests/test_setup.py runs make itself), and this very run.
    assert re.findall(r"^make (\w+)", make, re.MULTILINE) == ["demo", "test"]
    assert '"access_token":' in demo.run(["bash", "-c", demo.here(curl)])
    history, *others = commands_in(looks)
    assert imp_uid in naru(history.replace("imp_…", imp_uid))
    assert len([naru(command) for command in others]) == 4

    is_paid = run_python(demo.here(blocks("README.md", "python")[0]))["is_paid"]
    merchant_uid = Client(IMP_KEY, IMP_SECRET, base_url=demo.url).payment(imp_uid).merchant_uid
    assert merchant_uid is not None
    assert is_paid(imp_uid, {merchant_uid: 1_004}, set())
    assert not is_paid(imp_uid, {merchant_uid: 64_900}, set())
    assert not is_paid(imp_uid, {}, set())
    assert not is_paid(imp_uid, {merchant_uid: 1_004}, {imp_uid})


def test_the_commands_of_three_pages_work_at_a_demo(
    imp_uid: str, naru: Callable[[str], str]
) -> None:
    done = 0
    for name in ("how-to/migrate.md", "reference/sdk.md", "reference/audit.md"):
        for block in fenced(DOCS / name):
            for command in commands_in(block.text):
                naru(command)
                done += 1
    assert done == 9


def test_both_readmes_print_the_same_commands_and_code() -> None:
    """But for what they say about each."""
    english, korean = (
        [re.sub(r" *#.*", "", each.text) for each in fenced(ROOT / name)]
        for name in ("README.md", "README.ko.md")
    )
    assert english == korean


def test_the_guides_shop_is_set_up_by_its_commands_and_takes_money(
    demo: RunningDemo, naru: Callable[[str], str], tmp_path: Path
) -> None:
    from naru.bench.demo import free_ports
    from naru.testing.buyer import Buyer

    folder = write_shop(tmp_path)
    [port] = map(str, free_ports(1))
    [at_the_clone] = [
        each.text for each in chapter("0-authenticated-payment") if "merchant add" in each.text
    ]
    said = "".join(naru(each) for each in commands_in(at_the_clone.replace("8900", port)))
    settings = demo.here((folder / "settings.sh").read_text("utf-8"))
    for word in ("imp_key", "imp_secret", "webhook secret"):
        [printed] = re.findall(rf"^{word} +(\S+)$", said, re.MULTILINE)
        assert f"the-{word.replace(' ', '-')}" in settings
        settings = settings.replace(f"the-{word.replace(' ', '-')}\n", f"{printed}\n")
    (folder / "settings.sh").write_text(settings, "utf-8")
    [start] = [each.text for each in chapter("6-finish") if each.file is None]
    start = start.replace("8900", port)
    start = start.replace("\nflask", f"\nexec {shlex.quote(sys.executable)} -m flask")
    shop = subprocess.Popen(
        ["bash", "-eu", "-c", start], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    buyer = Buyer(demo.url, "http://" + demo.ports["127.0.0.1:8802"])
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: "의자 가게" in look(url))
        placed = urllib3.request(
            "POST", f"{url}/orders", fields={"product": "chair"}, redirect=False, timeout=20
        )
        order = placed.headers["Location"].rpartition("/")[2]
        param = {"pg": "kakaopay", "merchant_uid": order, "name": "의자", "amount": 64_900}
        window = buyer.press_pay("imp10000001", param, origin=url, surface="pc", generation="old")
        pg_window = buyer.enter(window)
        assert pg_window is not None
        proven = buyer.authenticate(pg_window, buyer.look(pg_window), None)
        buyer.come_back(proven["return_form"])
        # Nobody reports it here: the webhook comes, over the address that the page registered.
        wait_for(lambda: "결제했습니다" in look(f"{url}/orders/{order}"))
    finally:
        buyer.close()
        shop.kill()
        shop.wait()


def look(url: str) -> str:
    """A page's text; nothing while nobody answers."""
    try:
        return urllib3.request("GET", url, retries=False, timeout=20).data.decode()
    except urllib3.exceptions.HTTPError:
        return ""


def wait_for(happened: Callable[[], bool]) -> None:
    """Until it has happened."""
    give_up_at = time.monotonic() + STEP_SECONDS_MAX
    while not happened():
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
