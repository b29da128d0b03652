"""`naru keys`, and `docs/how-to/keys.md` as it is written."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from naru.domain.merchant import Merchant
from naru.store import Store
from naru.webhooks.sign import read_secrets, signature_headers

Say = Callable[..., tuple[int, str, str]]
ROOT = b"a root key of this test, long enough"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "keys.md"


def steps(heading: str) -> list[list[str]]:
    """The commands of one section of the how-to page, in order."""
    section = PAGE.read_text("utf-8").split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    return [line.split()[1:] for block in blocks for line in block.split("\n") if line.strip()]


def execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def merchant_of(url: str, root: bytes = ROOT) -> Merchant:
    async def read() -> Merchant:
        store = await Store.open(url, 1, root_key=root)
        async with store.direct() as session:
            [merchant] = await session.merchants.all()
        await store.close()
        return merchant

    return asyncio.run(read())


def test_the_page_about_data_keys_does_what_it_says(say: Say, cli_database: str) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    before = merchant_of(cli_database)
    rotate, reseal, listing, retire = steps("A new data key")

    assert say(*rotate) == (0, "data key 2 seals from now on\n", "")
    assert "still seals something" in say(*retire)[2] or "less than 120 s" in say(*retire)[2]
    assert say(*reseal) == (0, "1 sealed anew\n", "")
    assert say(*reseal) == (0, "0 sealed anew\n", "")
    status, said, _ = say(*listing)
    assert status == 0
    assert re.search(r"^ +1 .*seals nothing$", said, re.MULTILINE)
    assert re.search(r"^ +2 .*1 merchants$", said, re.MULTILINE)
    # The two minutes of step 2.
    execute(cli_database, "UPDATE data_keys SET made_at = made_at - interval '2 minutes'")
    assert say(*retire) == (0, "data key 1 is gone for ever\n", "")
    assert say("keys", "retire", "2")[0] == 1
    assert merchant_of(cli_database) == before


def test_the_page_about_the_root_key_does_what_it_says(
    say: Say, cli_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    before = merchant_of(cli_database)
    [rewrap] = steps("A new root key")
    new = "the root key after, which is long enough"
    monkeypatch.setenv("NARU_SECRET", new)
    refused = "naru: NARU_SECRET is wrong: the root key is not the one"
    assert say("merchant", "list")[2].startswith(refused)
    assert say(*rewrap)[2].startswith(refused)

    monkeypatch.setenv("NARU_SECRET_OLD", ROOT.decode())
    assert say("merchant", "list")[0] == 0
    assert "take NARU_SECRET_OLD away" in say("keys", "rotate")[2]
    assert say(*rewrap) == (0, "1 data keys are under NARU_SECRET\n", "")

    monkeypatch.delenv("NARU_SECRET_OLD")
    assert say("merchant", "list")[0] == 0
    assert merchant_of(cli_database, new.encode()) == before


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_a_wrong_root_key_is_one_sentence_before_anything_starts(
    say: Say, cli_database: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    say("merchant", "add", "My shop")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    monkeypatch.setenv("NARU_PORT", str(port))
    monkeypatch.setenv("NARU_SECRET", "another root key, of another database")
    monkeypatch.setenv("NARU_ACCEPT_RISKS", "weak-secret, plain-http, durability, clock, sandbox")

    status, said, complaint = say(command)

    assert (status, said) == (1, "")
    assert complaint.startswith("naru: NARU_SECRET is wrong:")
    assert complaint.count("\n") == 1


@pytest.mark.promise("P21")
def test_both_webhook_secrets_sign_until_the_old_one_is_retired(
    say: Say, cli_database: str
) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    new, retire = steps("A merchant's webhook secret")
    body = b'{"imp_uid":"imp_123456789012"}'

    def signed_by(secret: str) -> bool:
        kept = read_secrets(merchant_of(cli_database).webhook_secret)
        headers = signature_headers(kept, "msg_1", body, datetime.now(UTC))
        try:
            Webhook(secret).verify(body, headers)
        except WebhookVerificationError:
            return False
        return True

    [old] = read_secrets(merchant_of(cli_database).webhook_secret)
    assert say(*retire)[0] == 1
    status, said, _ = say(*new)
    assert status == 0
    found = re.search(r"whsec_\S+", said)
    assert found
    assert [signed_by(old), signed_by(found[0])] == [True, True]
    assert say(*new)[0] == 1  # never a third
    assert say(*retire)[0] == 0
    assert [signed_by(old), signed_by(found[0])] == [False, True]


def test_api_keys_live_side_by_side_as_the_page_says(say: Say) -> None:
    _, said, _ = say("merchant", "add", "My shop", "--user-code", "imp12345678")
    first = re.search(r"imp_key\s+(\S+)", said)
    assert first
    add, revoke = steps("A merchant's API key")
    assert say(*add)[0] == 0
    assert say(*[first[1] if word == "IMP_KEY" else word for word in revoke])[0] == 0
    _, shown, _ = say("merchant", "show", "imp12345678")
    assert shown.count("living") == 1


def test_a_broken_seal_is_told_and_left_as_it_is(say: Say, cli_database: str) -> None:
    say("merchant", "add", "My shop", "--user-code", "imp12345678")
    execute(
        cli_database,
        "UPDATE merchants SET webhook_secret = set_byte(webhook_secret, 20,"
        " get_byte(webhook_secret, 20) # 1)",
    )
    say("keys", "rotate")
    status, said, _ = say("keys", "reseal")
    assert status == 1
    assert "left as it is: merchants.webhook_secret of 1 does not open" in said
    assert say("merchant", "webhook-secret", "new", "imp12345678")[0] == 0
    assert say("keys", "reseal")[0] == 0
