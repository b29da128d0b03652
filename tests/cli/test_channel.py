"""`naru channel` against a real database, and against a true sandbox PG where it needs one."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from naru.domain.certification import CERTIFIERS
from naru.domain.pg_profile import PROFILES

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _merchant(say: Say) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")


def add(say: Say, pg_code: str, mid: str, *more: str) -> tuple[int, str, str]:
    """Add a channel at the sandbox connector."""
    return say(
        "channel", "add", "imp12345678", pg_code, "--mid", mid, "--connector", "sandbox", *more
    )


def test_the_first_channel_is_the_default_until_another_is_chosen(say: Say) -> None:
    add(say, "html5_inicis", "INIpayTest", "--test")
    add(say, "kcp", "T0000", "--test", "--name", "둘째")

    first = say("channel", "list", "imp12345678")[1].splitlines()
    say("channel", "default", "imp12345678", "kcp")
    second = say("channel", "list", "imp12345678")[1].splitlines()

    assert first[0].startswith("html5_inicis.INIpayTest")
    assert first[0].endswith("default")
    assert second[0].startswith("kcp.T0000")
    assert second[0].endswith("default  둘째")
    assert "default" not in second[1]


def test_the_same_contract_twice_is_refused(say: Say) -> None:
    assert add(say, "kcp", "T0000")[0] == 0

    status, _, complaint = add(say, "kcp", "T0000")

    assert (status, complaint) == (1, "naru: The merchant has kcp.T0000 already.\n")


def test_a_pg_code_that_could_mean_two_contracts_is_asked_back(say: Say) -> None:
    add(say, "kcp", "T0000")
    add(say, "kcp", "T0001")

    status, _, complaint = say("channel", "default", "imp12345678", "kcp")
    assert status == 1
    assert "kcp.T0000 or kcp.T0001" in complaint
    assert say("channel", "default", "imp12345678", "kcp.T0001")[0] == 0


def test_a_pgs_keys_come_from_a_file_and_are_never_shown(say: Say, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"secret": "hunter2", "url": "http://127.0.0.1:9"}))

    assert add(say, "kcp", "T0000", "--settings-from", str(keys))[0] == 0

    assert "hunter2" not in say("channel", "list", "imp12345678")[1]


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", '{"a": NaN'])
def test_settings_that_are_no_json_object_are_refused(say: Say, tmp_path: Path, text: str) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(text)

    status, _, complaint = add(say, "kcp", "T0000", "--settings-from", str(keys))

    assert (status, complaint.count("\n")) == (1, 1)
    assert add(say, "kcp", "T0000", "--settings-from", str(tmp_path / "no.json"))[0] == 1
    assert say("channel", "list", "imp12345678")[1] == ""


@pytest.mark.parametrize(
    ("pg_code", "mid", "connector"),
    [
        ("KCP", "T0000", "sandbox"),
        ("kcp", "", "sandbox"),
        ("kcp", "한", "sandbox"),
        ("kcp", "T0", "x"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    say: Say, pg_code: str, mid: str, connector: str
) -> None:
    words = ("channel", "add", "imp12345678", pg_code, f"--mid={mid}", "--connector", connector)
    status, _, complaint = say(*words)

    assert (status, complaint.count("\n")) == (1, 1)


def test_an_unknown_channel_cannot_become_the_default(say: Say) -> None:
    assert say("channel", "default", "imp12345678", "kcp")[0] == 1


def test_the_sandbox_plays_every_pg_code_for_two_merchants_at_once(
    say: Say, sandbox_pg: str
) -> None:
    say("merchant", "add", "Neighbour", "--user-code", "imp00000002")

    for user_code in ("imp12345678", "imp12345678", "imp00000002"):
        status, said, complaint = say("channel", "sandbox-all", user_code, "--url", sandbox_pg)
        assert (status, complaint) == (0, "")
        # One more takes cards by API.
        assert said == f"{len(PROFILES) + 1 + len(CERTIFIERS)} sandbox channels\n"

    lines = say("channel", "list", "imp12345678")[1].splitlines()
    assert {line.partition(".")[0] for line in lines} == set(PROFILES) | set(CERTIFIERS)
    # One default for windows, one for cards by API, one for 본인인증.
    defaults = [line.partition(".")[0] for line in lines if re.search(r" default ", line)]
    assert defaults == ["html5_inicis", "nice", "danal"]


def test_a_sandbox_that_does_not_answer_is_one_sentence(say: Say) -> None:
    status, _, complaint = say(
        "channel", "sandbox-all", "imp12345678", "--url", "http://127.0.0.1:1"
    )

    assert status == 1
    assert complaint.startswith("naru: The sandbox PG at http://127.0.0.1:1 does not answer")
    assert complaint.count("\n") == 1
