"""Every fenced block of README and docs is executed by a test, or the table below says why it cannot be.

Whoever writes another block finds this test failing: either the test that executes its neighbours takes
it along, and the number goes up, or a test of its own stands in the table. What is written from the
code (`make docs`) is no example, and tests/test_docs.py keeps it fresh.
"""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.guide.pages import ROOT, read_blocks
from tools.write_docs import PART

# What no test can execute, and why.
FOREIGN = "configures other programs than ours"
INSTALLS = "needs a package index; tools/bootstrap.py installs before every run of the tests"
MEASURED = "what a program of ours printed on a day; tests/bench runs the program"
WORKFLOW = "a step for another machine's workflow"
REASONS = {FOREIGN, INSTALLS, MEASURED, WORKFLOW}

DOCS = "tests/test_docs.py::test_"
AT_A_DEMO = DOCS + "the_commands_of_three_pages_work_at_a_demo"
README = DOCS + "the_commands_and_the_snippet_of_the_readme_work_at_a_demo"
SET_UP = DOCS + "the_guides_shop_is_set_up_by_its_commands_and_takes_money"
CURLS = DOCS + "every_curl_of_the_rest_page_answers_as_printed"
CI = DOCS + "the_ci_page_pays"
COMMANDS = "tests/guide/test_commands.py::test_"
SHOP = "tests/guide/test_shop.py::test_"
BROWSER = "tests/guide/test_in_browser.py::test_"
NODE = "tests/guide/test_node.py::test_a_payment_pays_once_and_a_thief_gets_nothing"
ADAPTER = "tests/certifier/test_adapter.py::test_the_examples_of_the_page_are_adapters"
CERTIFIED = "tests/guide/test_certified.py::test_the_guides_shop_passes"
KIT = "tests/kit/test_guide.py::test_a_shop_of_the_guide_takes_money_and_is_not_robbed"
TESTING = (
    "tests/testing/test_guide.py::test_the_guide_runs_and_tests_side_by_side_do_not_see_each_other"
)
KEYS = "tests/cli/test_keys.py::test_the_page_about_data_keys_does_what_it_says"
FAILOVER = "tests/failover/cluster.py::snippet"
ROLE = (
    "tests/store/test_attacks.py::test_the_role_of_the_how_to_page_works_and_can_switch_nothing_off"
)

TABLE: list[tuple[str, str, int, str]] = [
    ("README", "", 3, README),
    ("README", "python", 1, README),
    ("README", "sh", 1, CERTIFIED),
    ("docs/benchmarks", "", 2, MEASURED),
    ("docs/guide/0-authenticated-payment", "sh", 4, SET_UP),
    ("docs/guide/1-add-the-library", "html", 1, BROWSER + "a_card_on_a_pc"),
    ("docs/guide/1-add-the-library", "css", 1, BROWSER + "a_card_on_a_pc"),
    ("docs/guide/2-init", "js", 1, BROWSER + "a_card_on_a_pc"),
    ("docs/guide/3-request-a-payment", "python", 2, SHOP + "by_webhook_alone"),
    ("docs/guide/3-request-a-payment", "html", 1, BROWSER + "a_card_on_a_pc"),
    ("docs/guide/3-request-a-payment", "js", 3, BROWSER + "the_button_in_react_and_in_vue"),
    ("docs/guide/4-a-callback", "js", 1, BROWSER + "a_card_on_a_pc"),
    ("docs/guide/4-b-redirect", "js", 1, BROWSER + "a_card_on_a_phone"),
    ("docs/guide/5-verify", "python", 3, SHOP + "the_robbery_of_chapter_5"),
    ("docs/guide/5-verify", "sql", 1, NODE),
    ("docs/guide/5-verify", "js", 1, NODE),
    ("docs/guide/6-finish", "html", 1, BROWSER + "a_refused_card_leaves_the_button"),
    ("docs/guide/6-finish", "js", 2, BROWSER + "an_answer_that_was_lost"),
    ("docs/guide/6-finish", "python", 2, SHOP + "what_nobody_told_is_found_by_the_sweep"),
    ("docs/guide/6-finish", "sh", 1, SET_UP),
    ("docs/guide/certify", "python", 1, CERTIFIED),
    ("docs/guide/certify", "toml", 1, CERTIFIED),
    ("docs/guide/certify", "sh", 1, CERTIFIED),
    ("docs/guide/kit", "sh", 1, INSTALLS),
    ("docs/guide/kit", "python", 7, KIT),
    ("docs/guide/testing", "sh", 1, INSTALLS),
    ("docs/guide/testing", "python", 7, TESTING),
    ("docs/how-to/backup", "text", 3, COMMANDS + "a_copy_is_fenced_and_let_out_as_the_page_says"),
    ("docs/how-to/ci", "sh", 2, CI),
    ("docs/how-to/ci", "python", 1, CI),
    ("docs/how-to/high-availability", "text", 4, FOREIGN),
    ("docs/how-to/high-availability", "yaml", 1, FAILOVER),
    ("docs/how-to/keys", "text", 7, KEYS),
    ("docs/how-to/migrate", "text", 1, AT_A_DEMO),
    ("docs/how-to/production", "text", 1, COMMANDS + "the_settings_of_a_server_are_settings"),
    ("docs/how-to/production", "sql", 1, ROLE),
    ("docs/how-to/upgrade", "text", 1, COMMANDS + "an_upgrade_is_one_command"),
    ("docs/how-to/webhooks", "python", 1, DOCS + "the_webhook_example_believes_signed_words_only"),
    ("docs/reference/adapter", "toml", 2, ADAPTER),
    ("docs/reference/adapter", "sh", 2, ADAPTER),
    ("docs/reference/audit", "text", 1, AT_A_DEMO),
    ("docs/reference/certifier", "sh", 1, CERTIFIED),
    ("docs/reference/certifier", "yaml", 1, WORKFLOW),
    ("docs/reference/kit", "python", 1, DOCS + "the_kits_example_finishes_an_order_once"),
    ("docs/reference/rest", "sh", 9, CURLS),
    ("docs/reference/rest", "json", 9, CURLS),
    ("docs/reference/sdk", "text", 1, AT_A_DEMO),
    ("docs/reference/webhooks", "", 2, COMMANDS + "the_webhooks_of_the_page_are_read_by_the_kit"),
]


def pages() -> list[Path]:
    """README and all documents."""
    return [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def named(page: Path) -> str:
    """One name for a page in both languages."""
    return page.relative_to(ROOT).as_posix().removesuffix(".md").removesuffix(".ko")


def test_every_block_stands_in_the_table() -> None:
    expected = Counter({(page, language): count for page, language, count, _ in TABLE})
    seen = set()
    for page in pages():
        text = PART.sub("", page.read_text("utf-8"))
        found = Counter((named(page), block.language) for block in read_blocks(text))
        mine = {key: count for key, count in expected.items() if key[0] == named(page)}
        assert found == mine, page.name
        seen |= mine.keys()
    assert seen == expected.keys()


@pytest.mark.parametrize("who", sorted({row[3] for row in TABLE} - REASONS))
def test_who_stands_in_the_table_exists(who: str) -> None:
    file, _, name = who.partition("::")
    module = ast.parse((ROOT / file).read_text("utf-8"))
    defined = {
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    assert name in defined
