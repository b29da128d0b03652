"""What other pages of docs print and nothing else executes: three commands, settings, two webhooks."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Callable

import pytest

from naru.cli.main import main
from naru.config import Settings
from naru.kit import read_webhook
from tests.guide.pages import ROOT, blocks

HOW_TO = ROOT / "docs" / "how-to"
Say = Callable[[str], str]


@pytest.fixture
def say(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Say:
    """Run a line of a page that begins with `naru`: what it printed, and it was content."""
    monkeypatch.setenv("NARU_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("NARU_SECRET", "a root key of this test, long enough")

    def run(line: str) -> str:
        naru, *words = shlex.split(line)
        assert naru == "naru"
        status = main(words)
        heard = capsys.readouterr()
        assert status == 0, heard.err
        return heard.out

    return run


def test_a_copy_is_fenced_and_let_out_as_the_page_says(
    database_url: str, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    monkeypatch.setenv("NARU_DATABASE_URL", database_url)
    fence, look, let_out = [each.text.strip() for each in blocks(HOW_TO / "backup.md")]
    say(fence)
    assert "The fence stays" in say(look)
    assert "taken away" in say(let_out)
    assert say(look) == "the house is not fenced\n"


def test_an_upgrade_is_one_command(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, say: Say
) -> None:
    monkeypatch.setenv("NARU_DATABASE_URL", empty_database_url)
    [command] = [each.text.strip() for each in blocks(HOW_TO / "upgrade.md")]
    first, again = say(command), say(command)
    assert "0001" in first
    assert "0001" not in again


def test_the_settings_of_a_server_are_settings() -> None:
    [text] = [each.text for each in blocks(HOW_TO / "production.md") if each.language == "text"]
    named = re.findall(r"^NARU_([A-Z_]+)=\S", text, re.MULTILINE)
    fields = {field.name.upper() for field in dataclasses.fields(Settings)}
    assert len(named) == len(text.splitlines()) >= 5
    assert set(named) <= fields


def test_the_webhooks_of_the_page_are_read_by_the_kit() -> None:
    page = ROOT / "docs" / "reference" / "webhooks.md"
    headers = {"Content-Type": "application/json"}
    for block in blocks(page):
        tip = read_webhook(block.text.encode(), headers)
        written = json.loads(block.text)
        assert (tip.imp_uid, tip.merchant_uid) == (written["imp_uid"], written["merchant_uid"])
