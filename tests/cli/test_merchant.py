"""`naru merchant` against a real database."""

import re
from collections.abc import Callable

import asyncpg
import pytest

from naru.domain.ids import hash_secret

Say = Callable[..., tuple[int, str, str]]


def value(said: str, name: str) -> str:
    """What stands after this name in the table that was printed."""
    found = re.search(rf"^{re.escape(name)}\s+(.*)$", said, re.MULTILINE)
    assert found, said
    return found.group(1).strip()


def fetch(url: str, question: str, *values: object) -> list[asyncpg.Record]:
    """Rows, asked over a connection of our own."""
    import asyncio

    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(question, *values)
            return rows
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_a_new_merchant_gets_a_key_whose_secret_is_kept_as_a_hash_only(
    say: Say, cli_database: str
) -> None:
    status, said, _ = say("merchant", "add", "My shop", "--origin", "https://shop.example.com")

    assert status == 0
    imp_key, imp_secret = value(said, "imp_key"), value(said, "imp_secret")
    [row] = fetch(cli_database, "SELECT * FROM api_keys")
    assert (row["imp_key"], row["secret_hash"]) == (imp_key, hash_secret(imp_secret))
    assert imp_secret not in str(fetch(cli_database, "SELECT * FROM merchants"))
    user_code = value(said, "user code")
    assert re.fullmatch(r"imp\d{8}", user_code)
    _, shown, _ = say("merchant", "show", user_code)
    assert value(shown, "allowed_origins") == "https://shop.example.com"
    assert value(shown, "live") == "no"
    assert "whsec_" not in shown
    assert imp_secret not in shown


def test_a_revoked_key_is_dead_and_the_others_live_on(say: Say, cli_database: str) -> None:
    _, said, _ = say("merchant", "add", "My shop", "--user-code", "imp12345678")
    first = value(said, "imp_key")
    _, said, _ = say("merchant", "key", "add", "imp12345678")
    second = value(said, "imp_key")

    assert say("merchant", "key", "revoke", first)[0] == 0
    assert say("merchant", "key", "revoke", first)[0] == 1

    rows = fetch(cli_database, "SELECT imp_key, revoked_at IS NULL AS lives FROM api_keys")
    assert {row["imp_key"]: row["lives"] for row in rows} == {first: False, second: True}


def test_origins_are_allowed_and_forbidden_exactly(say: Say) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")

    say("merchant", "allow-origin", "imp12345678", "https://a.example")
    say("merchant", "allow-origin", "imp12345678", "https://b.example", "--for", "page")
    say("merchant", "allow-origin", "imp12345678", "https://a.example")
    say("merchant", "forbid-origin", "imp12345678", "https://a.example", "--for", "page")
    say("merchant", "allow-origin", "imp12345678", "myshop", "--for", "app-scheme")

    _, shown, _ = say("merchant", "show", "imp12345678")
    assert value(shown, "allowed_origins") == "https://b.example"
    assert value(shown, "allowed_return_origins") == "https://a.example"
    assert value(shown, "allowed_app_schemes") == "myshop"


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.example/path",
        "https://user@a.example",
        "javascript:alert(1)",
        "a.example",
        "https://",
        "https://a.example\n",
        "*",
        "",
    ],
)
def test_what_is_no_origin_is_refused(say: Say, origin: str) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")

    status, _, complaint = say("merchant", "allow-origin", "imp12345678", origin)

    assert status == 1
    assert "is no origin" in complaint
    assert value(say("merchant", "show", "imp12345678")[1], "allowed_origins") == "-"


@pytest.mark.parametrize(
    ("setting", "text", "shown"),
    [
        ("name", "다른 상점", "다른 상점"),
        ("live", "yes", "yes"),
        ("allow_test_channels", "no", "no"),
        ("webhook_url", "https://shop.example.com/hook", "https://shop.example.com/hook"),
        ("webhook_format", "form", "form"),
        ("webhook_mode", "v1", "v1"),
        ("confirm_url", "https://shop.example.com/ok", "https://shop.example.com/ok"),
    ],
)
def test_every_setting_can_be_changed(say: Say, setting: str, text: str, shown: str) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")

    assert say("merchant", "set", "imp12345678", setting, text)[0] == 0

    assert value(say("merchant", "show", "imp12345678")[1], setting) == shown


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("name", "\x00"),
        ("name", " "),
        ("live", "perhaps"),
        ("webhook_url", "ftp://shop.example.com"),
        ("webhook_format", "xml"),
        ("webhook_mode", "often"),
        ("confirm_url", "https://user:pw@shop.example.com"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(say: Say, setting: str, text: str) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    before = say("merchant", "show", "imp12345678")[1]

    assert say("merchant", "set", "imp12345678", setting, text)[0] == 1

    assert say("merchant", "show", "imp12345678")[1] == before


def test_a_user_code_belongs_to_one_merchant(say: Say, cli_database: str) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")

    status, _, complaint = say("merchant", "add", "Thief", "--user-code", "imp12345678")
    assert (status, "belongs to another merchant" in complaint) == (1, True)
    say("merchant", "add", "Neighbour", "--user-code", "imp00000002")
    assert say("merchant", "add-user-code", "imp00000002", "imp12345678")[0] == 1

    assert len(fetch(cli_database, "SELECT FROM merchants")) == 2


@pytest.mark.parametrize(
    "word", ["imp99999999", "7", "9" * 30, "x' OR 1=1", "한글", "", "\x00", "\udcff"]
)
def test_an_unknown_merchant_is_one_sentence(say: Say, word: str) -> None:
    status, said, complaint = say("merchant", "show", word)

    assert (status, said) == (1, "")
    assert "There is no merchant" in complaint


def test_the_list_names_everyone(say: Say) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    say("merchant", "add", "Real shop", "--user-code", "imp00000002", "--live")

    _, said, _ = say("merchant", "list")

    assert re.search(r"imp12345678 +test +My shop", said)
    assert re.search(r"imp00000002 +live +Real shop", said)


def test_an_agency_adds_a_tier_that_has_contracts_of_its_own(say: Say, cli_database: str) -> None:
    say("merchant", "add", "Agency", "--user-code", "imp12345678", "--origin", "https://a.example")
    say("merchant", "add", "Other", "--user-code", "imp00000002")

    status, said, _ = say("merchant", "tier", "add", "imp12345678", "A1B", "My shop")

    assert status == 0
    assert value(said, "user code") == "imp12345678-A1B"
    [row] = fetch(cli_database, "SELECT * FROM tiers")
    assert (str(row["merchant_id"]), row["tier_code"]) == (
        value(said, "new merchant").split()[0],
        "A1B",
    )
    _, shown, _ = say("merchant", "show", "imp12345678-A1B")
    assert value(shown, "allowed_origins") == "https://a.example"
    channel = ("kcp", "--mid", "T1", "--connector", "sandbox", "--test")
    assert say("channel", "add", "imp12345678-A1B", *channel)[0] == 0
    assert say("channel", "list", "imp12345678")[1] == ""
    assert re.search(r"A1B +\d+ +My shop", say("merchant", "tier", "list", "imp12345678")[1])
    assert say("merchant", "tier", "list", "imp00000002")[1] == ""
    # The same code of another agency is another shop.
    assert say("merchant", "tier", "add", "imp00000002", "A1B", "Shop")[0] == 0


@pytest.mark.parametrize("code", ["a1b", "ABCD", "AB", "", "가나다", "A-B"])
def test_a_tier_code_is_three_capitals_or_digits(say: Say, cli_database: str, code: str) -> None:
    say("merchant", "add", "Agency", "--user-code", "imp12345678")

    status, _, complaint = say("merchant", "tier", "add", "imp12345678", code, "My shop")

    assert (status, "three capital letters or digits" in complaint) == (1, True)
    assert fetch(cli_database, "SELECT FROM tiers") == []


def test_a_tier_is_added_once(say: Say, cli_database: str) -> None:
    say("merchant", "add", "Agency", "--user-code", "imp12345678")
    say("merchant", "tier", "add", "imp12345678", "ABC", "My shop")

    status, _, complaint = say("merchant", "tier", "add", "imp12345678", "ABC", "Again")

    assert (status, "has a tier ABC already" in complaint) == (1, True)
    assert len(fetch(cli_database, "SELECT FROM merchants")) == 2
