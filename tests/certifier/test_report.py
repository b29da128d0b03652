"""The reports: true to the run, readable by who must read them, and safe with what strangers wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import Browser, Page, expect

from naru.certifier.attacks import ATTACKS
from naru.certifier.report import badge, html, junit, machine, sarif, screen
from naru.certifier.report.clean import RAW_LENGTH_MAX, clean_run, clean_text
from naru.certifier.report.compare import Compared, NotAReport, compare
from naru.certifier.report.diagram import SHOWN_MAX, draw
from naru.certifier.report.score import failures
from naru.certifier.result import Exchange, Run, Words
from tests.certifier.runs import bad_run, good_run, hostile_run
from tests.checkout.browser import open_browser
from tests.sandbox.test_pages import FINDINGS

RUNS = {"bad": bad_run, "good": good_run, "hostile": hostile_run}
every_run = pytest.mark.parametrize("make", RUNS.values(), ids=RUNS)
# Nothing that moves a terminal, hides, turns a line around, or that XML forbids.
HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\ufffe\uffff]"
)


def empty_run() -> Run:
    return replace(good_run(), outcomes=())


# What strangers wrote


@every_run
def test_no_report_carries_a_character_that_does_harm(make: Any) -> None:
    run = make()
    reports = [
        html.text(run),
        junit.text(run),
        sarif.text(run),
        machine.text(run),
        badge.text(run),
        screen.text(run),
    ]
    for report in reports:
        assert HARMFUL.search(report) is None
        report.encode()
    if make is hostile_run:
        assert "\\x00" in reports[3]  # shown, not swallowed


def test_the_harmful_characters_are_in_the_run_itself() -> None:
    assert HARMFUL.search(repr(hostile_run().url)) is None  # repr hides them
    assert HARMFUL.search(hostile_run().url)


@given(st.text(alphabet=st.characters(codec=None), max_size=40))
def test_a_cleaned_text_stays_as_it_is(text: str) -> None:
    once = clean_text(text)
    assert HARMFUL.search(once) is None
    assert clean_text(once) == once


def test_what_is_over_long_is_cut_with_a_note() -> None:
    [exchange, *_] = clean_run(hostile_run()).outcomes[0].tape
    assert len(exchange.response) < RAW_LENGTH_MAX + 100
    assert exchange.response.endswith("[… 1,600,000 characters, cut after 10,000]")
    assert len(html.text(hostile_run())) < 200_000
    assert clean_run(bad_run()).outcomes[0].tape[0].response.count("\n") == 3


class Elements(HTMLParser):
    """Every element and attribute of a page, and the text of its style."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.style = ""
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._within = tag

    def handle_data(self, data: str) -> None:
        if self._within == "style":
            self.style += data
        self._within = ""


@every_run
def test_the_page_runs_nothing_and_asks_for_nothing(make: Any) -> None:
    before = compare(machine.text(bad_run()), make())
    page = Elements()
    page.feed(html.text(make(), before))
    assert not {"script", "iframe", "img", "link", "object", "form", "base"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "style")}
    assert all(
        str(value).startswith("#attack-") for name, value in page.attributes if name == "href"
    )
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    [policy] = [str(value) for _, value in page.attributes if "default-src" in str(value)]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")


# The page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as browser:
        yield browser


async def opened(
    browser: Browser, path: Path, run: Run, compared: Compared | None = None, **options: Any
) -> tuple[Page, list[str]]:
    (path / "report.html").write_text(html.text(run, compared), "utf-8")
    page = await browser.new_page(**options)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: complaints.append(request.url))
    await page.goto((path / "report.html").as_uri())
    return page, complaints[1:]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("width", "scheme", "make"),
    [(1280, "light", bad_run), (360, "dark", bad_run), (320, "light", hostile_run)],
)
async def test_everybody_can_read_the_page(
    browser: Browser, tmp_path: Path, width: int, scheme: Any, make: Any
) -> None:
    run = make()
    compared = compare(machine.text(good_run()), run)
    page, complaints = await opened(
        browser,
        tmp_path,
        run,
        compared,
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
    )
    await page.locator("#show-all").check()
    await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    assert await page.evaluate(FINDINGS) == []
    await page.locator("#in-en").check()
    assert await page.evaluate(FINDINGS) == []
    assert complaints == []
    # The control: the same look finds what is wrong with a page that is not cared for.
    await page.evaluate(
        """const text = document.createElement("p");
        text.textContent = "pale"; text.className = "label";
        document.body.append(text);
        text.attributeStyleMap.set("color", "#888");
        text.attributeStyleMap.set("background-color", "#999");
        text.attributeStyleMap.set("width", "2000px");"""
    )
    found = await page.evaluate(FINDINGS)
    assert "horizontal scroll" in found
    assert any("pale" in each for each in found)
    await page.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_language_filter_and_links_work_without_a_script(
    browser: Browser, tmp_path: Path
) -> None:
    robbed = replace(good_run(), outcomes=tuple(
        replace(each, verdict="broken") if each.attack.name == "currency" else each
        for each in good_run().outcomes
    ))  # fmt: skip
    page, _ = await opened(
        browser,
        tmp_path,
        bad_run(),
        compare(machine.text(robbed), bad_run()),
        java_script_enabled=False,
    )
    swap, mended = (
        page.locator(".attack").filter(has=page.locator("summary code", has_text=name))
        for name in (re.compile("^order-swap$"), re.compile("^currency$"))
    )
    await expect(page.locator("h1")).to_have_text("우리집 문구점")
    await expect(page.locator(".stamp")).to_contain_text("실패")
    await expect(page.locator(".attack:visible")).to_have_count(5)
    await expect(swap).to_contain_text("주문 B 64,900원어치가 1,000원에 나갔습니다.")
    await expect(page.get_by_text("left for ₩1,000.").first).to_be_hidden()

    await expect(page.locator("svg").first).to_be_hidden()
    await swap.locator("summary").first.click()
    await expect(swap).to_contain_text("그런 다음 주문을 읽습니다.")
    for shown in ("svg", "table", "pre.code", "pre.command"):
        await expect(swap.locator(shown).first).to_be_visible()
    await swap.locator(".raw > summary").click()
    await expect(swap.get_by_text('"merchant_uid": "order_0193"}').first).to_be_visible()

    await page.get_by_label("English").check()
    await expect(page.locator(".stamp")).to_contain_text("FAILED")
    await expect(swap.locator("summary").first).to_contain_text("left for ₩1,000.")
    await expect(page.get_by_text("나갔습니다.").first).to_be_hidden()

    # What was mended is not among what is shown, until the link to it is followed.
    await expect(mended).to_be_hidden()
    await page.get_by_role("link", name="currency").click()
    await expect(mended).to_be_visible()
    await page.get_by_label("Skipped 1").check()
    await expect(page.locator(".skips")).to_contain_text("The adapter has no [change]")
    await expect(page.locator(".attack .why", has_text="The adapter has no")).to_be_visible()
    await expect(swap).to_be_hidden()
    await page.close()


def test_the_page_may_begin_in_english() -> None:
    assert '<html lang="en">' in html.text(bad_run(), korean=False)
    assert '<html lang="ko">' in html.text(bad_run())


def test_a_run_that_tried_nothing_is_no_success() -> None:
    page = html.text(empty_run())
    assert "<title>실패" in page
    assert "시도한 공격이 하나도 없어" in page
    assert "nothing tried" in badge.text(empty_run())
    assert screen.text(empty_run()).startswith("실패")


def test_a_diagram_has_a_line_for_who_took_part_and_a_bracket_for_what_was_at_once() -> None:
    [at_once] = [each for each in bad_run().outcomes if each.attack.name == "all-at-once"]
    drawing = draw(at_once.tape)
    assert drawing
    assert [lane.party for lane in drawing.lanes] == ["buyer", "shop", "gateway", "certifier"]
    [bracket] = drawing.brackets
    within = [arrow.number for arrow in drawing.arrows if bracket.top <= arrow.y <= bracket.bottom]
    assert within == [3, 4, 5, 6, None, None, None, None]  # asked before anything is answered
    assert [arrow.label.ko for arrow in drawing.arrows][-6:-2] == [
        "3: 200",
        "4: 302",
        "5: 200",
        "6: 200",
    ]
    assert max(lane.x for lane in drawing.lanes) < drawing.width
    assert drawing.arrows[-1].y < drawing.height

    [down] = [each for each in bad_run().outcomes if each.attack.name == "gateway-down"]
    silent = draw(down.tape)
    assert silent
    assert [arrow.kind for arrow in silent.arrows] == [
        "asked",
        "asked",
        "silent",
        "asked",
        "answered",
    ]
    assert silent.arrows[2].label.ko == "답 없음 · 10.0 s"

    assert draw(()) is None
    many = draw(tuple(Exchange(n, "thief", "shop", "again") for n in range(1, 501)))
    assert many
    assert (len(many.arrows), many.left_out) == (SHOWN_MAX, 500 - SHOWN_MAX)


# For CI


def test_junit_has_a_case_for_each_attack() -> None:
    run = bad_run()
    suites = ElementTree.fromstring(junit.text(run))
    cases = list(suites.iter("testcase"))
    assert len(cases) == len(run.outcomes) == int(suites.attrib["tests"])
    assert [suites.attrib[each] for each in ("failures", "errors")] == ["4", "1"]
    assert set(suites.attrib) == {"name", "tests", "failures", "errors", "time"}  # junit-10.xsd
    for suite in suites:
        inside = list(suite.iter("testcase"))
        for kind, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            assert int(suite.attrib[count]) == sum(case.find(kind) is not None for case in inside)
    [swap] = [case for case in cases if case.attrib["classname"] == "naru.certify.order-swap"]
    failure = swap.find("failure")
    assert failure is not None
    assert failure.attrib["message"] == "주문 B 64,900원어치가 1,000원에 나갔습니다. (63,900원)"
    assert failure.attrib["type"] == "paid-in-full"
    assert failure.text
    assert "--attack order-swap" in failure.text
    [weak] = [case.find("system-out") for case in cases if case.find("system-out") is not None]
    assert weak is not None
    assert "500으로 답했습니다" in (weak.text or "")


def test_junit_of_hostile_text_is_read_back_as_it_was_shown() -> None:
    run = hostile_run()
    suites = ElementTree.fromstring(junit.text(run))
    shown = clean_run(run)
    assert suites.attrib["name"] == f"naru certify: {shown.shop}"
    [failure] = suites.iter("failure")
    assert "]]>" in (failure.text or "")
    assert "<script>alert(1)</script>" in (failure.text or "")


# What matters to a reader of SARIF 2.1.0 (OASIS, sarif-schema-2.1.0.json), reduced by hand; what
# GitHub needs besides is required as well.
_MESSAGE = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
SARIF: dict[str, Any] = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id", "shortDescription", "fullDescription", "help"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "shortDescription": _MESSAGE,
                                                "fullDescription": _MESSAGE,
                                                "help": {
                                                    **_MESSAGE,
                                                    "properties": {
                                                        "text": {"type": "string"},
                                                        "markdown": {"type": "string"},
                                                    },
                                                    "additionalProperties": False,
                                                },
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "properties": {
                                                        "level": {
                                                            "enum": ["none", "note", "warning", "error"]
                                                        }
                                                    },
                                                },
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "automationDetails": {
                        "type": "object",
                        "properties": {"id": {"type": "string"}},
                        "additionalProperties": False,
                    },
                    "language": {"type": "string", "pattern": "^[a-zA-Z]{2}(-[a-zA-Z]{2})?$"},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "additionalProperties": False,
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "startTimeUtc": {"type": "string", "pattern": r"^\d{4}-.*Z$"},
                                "endTimeUtc": {"type": "string", "pattern": r"^\d{4}-.*Z$"},
                            },
                        },
                    },
                    "properties": {"type": "object"},
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "ruleId", "locations", "partialFingerprints"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": _MESSAGE,
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "properties": {
                                                            "uri": {
                                                                "type": "string",
                                                                "pattern": r"^[\w./%~-]+$",
                                                            }
                                                        },
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "properties": {
                                                            "startLine": {
                                                                "type": "integer",
                                                                "minimum": 1,
                                                            }
                                                        },
                                                    },
                                                },
                                            },
                                            "logicalLocations": {
                                                "type": "array",
                                                "items": {
                                                    "type": "object",
                                                    "additionalProperties": False,
                                                    "properties": {
                                                        "name": {"type": "string"},
                                                        "fullyQualifiedName": {"type": "string"},
                                                        "kind": {"type": "string"},
                                                    },
                                                },
                                            },
                                        },
                                    },
                                },
                                "partialFingerprints": {
                                    "type": "object",
                                    "additionalProperties": {"type": "string"},
                                },
                                "properties": {"type": "object"},
                            },
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


@every_run
def test_sarif_is_sarif(make: Any) -> None:
    document = json.loads(sarif.text(make(), "shops/우리 집/shop.toml"))
    jsonschema.Draft7Validator(SARIF).validate(document)
    [run] = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])


def test_sarif_tells_every_breach_weakness_and_trouble() -> None:
    run = bad_run()
    [told] = json.loads(sarif.text(run))["runs"]
    levels = [result["level"] for result in told["results"]]
    breaches = sum(len(outcome.breaches) for outcome in run.outcomes)
    assert breaches == 5
    assert levels.count("error") == breaches + 1  # and what could not be tried
    assert levels.count("warning") == 1
    assert told["invocations"][0]["executionSuccessful"] is False
    [swap] = [each for each in told["results"] if each["properties"]["attack"] == "order-swap"]
    assert "주문 B 64,900원어치가 1,000원에 나갔습니다." in swap["message"]["text"]
    assert swap["properties"]["costWon"] == 63_900
    helps = {rule["id"]: rule.get("help", {}) for rule in told["tool"]["driver"]["rules"]}
    assert "till.finalise" in helps["paid-in-full"]["markdown"]

    [again] = json.loads(sarif.text(replace(run, seed=1, seconds=1.0)))["runs"]
    prints = [each["partialFingerprints"] for each in told["results"]]
    assert [each["partialFingerprints"] for each in again["results"]] == prints
    assert len({json.dumps(each) for each in prints}) == len(prints)
    assert json.loads(sarif.text(good_run()))["runs"][0]["invocations"][0]["executionSuccessful"]


def test_sarif_of_code_with_fences_stays_in_its_fence() -> None:
    [told] = json.loads(sarif.text(hostile_run()))["runs"]
    rule = told["tool"]["driver"]["rules"][0]
    assert rule["help"]["markdown"].endswith("\n`````")


def test_json_has_everything_and_a_version() -> None:
    run = bad_run()
    report = json.loads(machine.text(run))
    assert report["schema_version"] == 1
    assert report["passed"] is False
    assert report["score"] == {"held": 38, "tried": 43, "broken": 4, "trouble": 1, "skipped": 1}
    assert report["cost_won"] == run.cost == 243_900
    assert report["began"] == "2026-11-23T06:34:25.000+00:00"
    assert {rule["id"] for rule in report["rules"]} == {
        breach["rule"] for attack in report["attacks"] for breach in attack["breaches"]
    }
    fields = {frozenset(attack) for attack in report["attacks"]}
    assert len(fields) == 1  # a field is never left out
    documented = machine.__doc__ or ""
    for field in {*report, *next(iter(fields)), *report["attacks"][0]["orders"][0]}:
        assert re.search(rf"\b{field}\b", documented), field
    for exchange in report["attacks"][0]["tape"]:
        for field in exchange:
            assert re.search(rf"\b{field}\b", documented), field


@every_run
def test_the_badge_is_an_image_that_fits_its_words(make: Any) -> None:
    image = ElementTree.fromstring(badge.text(make()))
    space = "{http://www.w3.org/2000/svg}"
    texts = [each.text for each in image.iter(f"{space}text")]
    said = {"bad": "robbed of ₩243,900", "good": "43/43 held"}
    expected = next((words for name, words in said.items() if RUNS[name] is make), None)
    assert texts[0] == "naru certify"
    assert expected is None or texts[1] == expected
    assert int(image.attrib["width"]) < 320


# Beside the last run


def verdicts(run: Run, **changed: Any) -> Run:
    named = {name.replace("_", "-"): verdict for name, verdict in changed.items()}
    return replace(run, outcomes=tuple(
        replace(each, verdict=named.get(each.attack.name, each.verdict)) for each in run.outcomes
    ))  # fmt: skip


def test_what_changed_since_the_last_run() -> None:
    before = verdicts(
        good_run(),
        order_swap="broken",
        currency="broken",
        late="trouble",
        duplicates="broken",
        amount_zero="skipped",
    )
    now = verdicts(
        good_run(),
        order_swap="broken",
        late="broken",
        duplicates="skipped",
        all_lost="trouble",
        amount_zero="broken",
    )
    compared = compare(machine.text(before), now)
    assert compared.newly_broken == ("amount-zero", "all-lost")
    assert compared.mended == ("currency",)
    assert compared.still_broken == ("order-swap", "late")
    assert compared.not_tried == ("duplicates",)
    assert compared.first_tried == ("amount-zero",)
    assert compared.shop_before == "나루 데모 상점"
    told = screen.text(now, compared)
    assert "새로 뚫림 2: amount-zero, all-lost" in told
    assert "이번엔 안 해 봄 1: duplicates" in told
    assert "처음 해 봄 1: amount-zero" in told
    assert "tried for the first time 1: amount-zero" in screen.text(now, compared, korean=False)
    assert "달라진 것" not in told + html.text(now, compared)
    assert "지난 실행과 비교" in html.text(now, compared)
    assert "지난 실행과 비교" not in html.text(now)

    gone = compare(machine.text(before), replace(now, outcomes=now.outcomes[:1]))
    assert gone.not_tried == ("currency", "duplicates", "late")


def test_a_run_compared_with_itself_has_not_changed() -> None:
    compared = compare(machine.text(bad_run()), bad_run())
    assert not compared.newly_broken + compared.mended + compared.not_tried
    assert len(compared.still_broken) == 5
    assert "달라진 것 없음" in screen.text(bad_run(), compared)
    assert "nothing changed" in screen.text(bad_run(), compared, korean=False)
    assert "달라진 것이 없습니다." in html.text(bad_run(), compared)


def test_what_held_before_and_is_skipped_now_has_changed() -> None:
    now = verdicts(good_run(), currency="skipped")
    compared = compare(machine.text(good_run()), now)
    assert compared.not_tried == ("currency",)
    assert "달라진 것" not in screen.text(now, compared)


def test_what_is_new_is_named_in_full_on_the_narrowest_screen() -> None:
    compared = compare(machine.text(empty_run()), good_run())
    told = screen.text(good_run(), compared, width=80)
    assert "처음 해 봄 43: " in told
    assert all(each.attack.name in told for each in good_run().outcomes)


def test_skips_are_told_by_their_reasons_and_in_full() -> None:
    section = Words("어댑터에 [change] 섹션이 없습니다.", "The adapter has no [change].")
    browser = Words("이 컴퓨터에 브라우저가 없습니다.", "There is no browser on this machine.")
    skipped = [
        replace(each, verdict="skipped", why=browser if number % 2 else section)
        for number, each in enumerate(good_run().outcomes)
    ]
    run = replace(good_run(), outcomes=tuple(skipped[:30]))
    told = screen.text(run, width=80)
    flowing = " ".join(told.split())
    first, second = (
        ", ".join(each.attack.name for each in skipped[start:30:2]) for start in (0, 1)
    )
    assert f"건너뜀 15: 어댑터에 [change] 섹션이 없습니다: {first}" in flowing
    assert f"건너뜀 15: 이 컴퓨터에 브라우저가 없습니다: {second}" in flowing
    assert "…" not in told.split("\n", 3)[3]
    page = html.text(run)
    assert "The adapter has no [change]." in page
    assert "There is no browser on this machine." in page
    lead = page[page.index('class="lead"') : page.index("</p>", page.index('class="lead"'))]
    assert "어댑터" not in lead
    assert "adapter" not in lead


@pytest.mark.parametrize("failing", [1, 9])
@pytest.mark.parametrize("korean", [True, False])
def test_what_happened_is_never_cut(failing: int, korean: bool) -> None:
    why = Words(
        "상점이 " + "아주 길게 " * 40 + "답했습니다.", "It was " + "so very " * 60 + "long."
    )
    outcomes = tuple(
        replace(each, verdict="trouble", why=why) for each in good_run().outcomes[:failing]
    )
    flowing = " ".join(screen.text(replace(good_run(), outcomes=outcomes), korean=korean).split())
    assert flowing.count(why.ko if korean else why.en) == failing
    few = tuple(
        replace(each, breaches=tuple(replace(breach, why=why) for breach in each.breaches))
        for each in bad_run().outcomes
        if each.attack.name == "order-swap"
    )
    flowing = " ".join(screen.text(replace(bad_run(), outcomes=few), korean=korean).split())
    assert (why.ko if korean else why.en) in flowing


def test_the_name_of_no_attack_is_cut() -> None:
    assert max(screen.columns(attack.name) for attack in ATTACKS) <= screen.NAME_MAX


def test_a_storm_comes_after_every_named_attack_whatever_it_cost() -> None:
    [swap] = [each for each in bad_run().outcomes if each.attack.name == "order-swap"]
    [down] = [each for each in bad_run().outcomes if each.attack.name == "phone-redirect"]
    storm = replace(
        swap,
        attack=replace(swap.attack, name="storm-3"),
        breaches=tuple(replace(breach, cost=10**9) for breach in swap.breaches),
        repeat="naru certify --attack storm-3",
    )
    run = replace(bad_run(), outcomes=(storm, down, swap))
    names = [each.attack.name for each in failures(run)]
    assert names == ["order-swap", "phone-redirect", "storm-3"]
    assert "다시 하기: " + swap.repeat in screen.text(run)
    assert compare(machine.text(hostile_run()), good_run()).shop_before


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"\xff\xfe",
        "null",
        "[" * 100_000,
        "{}",
        '{"schema_version": 99}',
        '{"schema_version": 1, "shop": "a", "began": "now", "cost_won": 0, "attacks": []}',
        '{"schema_version": 1, "shop": "a", "began": "2026-01-01T00:00:00", "cost_won": 0, "attacks": []}',
        '{"schema_version": 1, "shop": "a", "began": "2026-01-01T00:00:00Z", "cost_won": 0, "attacks": [1]}',
        '{"schema_version": 1, "shop": 1, "began": "2026-01-01T00:00:00Z", "cost_won": 0, "attacks": []}',
    ],
)
def test_what_is_no_report_is_refused(before: str | bytes) -> None:
    with pytest.raises(NotAReport):
        compare(before, good_run())


# On the screen


@every_run
@pytest.mark.parametrize("width", [20, 80, 100, 120, 400])
@pytest.mark.parametrize("korean", [True, False])
def test_no_line_is_wider_than_the_screen(make: Any, width: int, korean: bool) -> None:
    run = make()
    compared = compare(machine.text(bad_run()), run)
    told = screen.text(run, compared, width=width, korean=korean)
    wide = [line for line in told.splitlines() if screen.columns(line) > min(max(width, 80), 120)]
    # The command is there to be copied: it is never cut.
    assert all(line.startswith(("다시 하기: ", "repeat: ")) for line in wide)


def test_the_verdict_is_on_one_screen_and_colour_only_adds() -> None:
    plain = screen.text(bad_run())
    assert "\x1b" not in plain
    assert len(plain.splitlines()) <= 24
    assert "주문 B 64,900원어치가 1,000원에 나갔습니다." in plain
    assert "막음 38/43" in plain
    assert "--attack all-at-once" in plain
    coloured = screen.text(bad_run(), colour=True)
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_many_failures_still_are_one_screen() -> None:
    every = verdicts(good_run(), **{each.attack.name: "broken" for each in good_run().outcomes})
    many = replace(every, outcomes=tuple(
        replace(each, breaches=bad_run().outcomes[0].breaches) for each in every.outcomes
    ))  # fmt: skip
    told = screen.text(many)
    assert len(told.splitlines()) <= 40
    assert told.count("주문 B 64,900원어치가") == screen.SHOWN_MAX
    assert all(each.attack.name in told for each in many.outcomes)  # none is left out


def test_columns_stand_under_each_other_in_both_languages() -> None:
    for korean in (True, False):
        lines = screen.text(bad_run(), korean=korean).splitlines()
        ends = {
            screen.columns(line[: line.index(amount) + len(amount)])
            for line in lines
            for amount in (("78,000원", "63,900원") if korean else ("₩78,000", "₩63,900"))
            if amount in line and not line.startswith(" ")
        }
        assert len(ends) == 1
    assert (screen.columns("가a"), screen.columns("e\u0301"), screen.cut("가나다", 4)) == (
        3,
        1,
        "가…",
    )
