"""What would cost somebody money is refused before the first payment (RELIABILITY §5.6)."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from naru.cli.doctor import refuse_risks
from naru.cli.trouble import CliError
from naru.config import RISKS, ConfigError, Settings
from naru.store import Store
from tests.support.gateway import ROOT_KEY
from tests.support.house import make_merchant


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Nothing is wrong but the tests' own server, which is forgetful on purpose."""
    return Settings(
        database_url=database_url, home=tmp_path, secret=ROOT_KEY, accept_risks=("durability",)
    )


async def refusal(settings: Settings) -> str:
    """The one sentence; the same words accepted must be let through."""
    assert settings.database_url is not None
    with pytest.raises(CliError) as refused:
        await refuse_risks(settings, settings.database_url)
    sentence = str(refused.value)
    word = sentence.rpartition("NARU_ACCEPT_RISKS=")[2].rstrip(".)")
    accepted = replace(settings, accept_risks=(*settings.accept_risks, word))
    await refuse_risks(accepted, settings.database_url)
    return sentence


async def test_a_sound_house_may_serve(settings: Settings) -> None:
    assert settings.database_url is not None
    await refuse_risks(settings, settings.database_url)


async def test_a_database_that_forgets_is_refused(settings: Settings) -> None:
    sentence = await refusal(replace(settings, accept_risks=()))
    assert sentence.startswith("durability: fsync, full_page_writes, synchronous_commit off.")


@pytest.mark.parametrize("secret", [b"s" * 32, b"0123456" * 10, b"secret" * 6])
async def test_a_root_key_that_is_easily_guessed_is_refused(
    settings: Settings, secret: bytes
) -> None:
    assert "root key: easily guessed." in await refusal(replace(settings, secret=secret))


def test_a_root_key_that_is_short_is_refused() -> None:
    with pytest.raises(ConfigError, match="too short"):
        Settings.read({"NARU_SECRET": "0123456789abcdef0123456789abcde"})


@pytest.mark.parametrize(
    "url", ["http://pay.example.com", "http://10.0.0.5:8800", "http://localhost.example"]
)
async def test_a_public_address_without_tls_is_refused(settings: Settings, url: str) -> None:
    assert "Use https" in await refusal(replace(settings, public_url=url))


@pytest.mark.parametrize(
    "url",
    ["https://pay.example.com", "http://127.0.0.1:8800", "http://[::1]", "http://pay.localhost"],
)
async def test_tls_or_this_machine_is_enough(settings: Settings, url: str) -> None:
    assert settings.database_url is not None
    await refuse_risks(replace(settings, public_url=url), settings.database_url)


@pytest.mark.parametrize("seconds", [-3, 3, 86_400])
async def test_a_clock_that_is_off_is_refused(settings: Settings, seconds: int) -> None:
    assert settings.database_url is not None
    connection = await asyncpg.connect(settings.database_url)
    # The server's clock as another machine would show it: a function of that name, found first.
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(
        f"""CREATE SCHEMA skewed;
            CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
                AS $$ SELECT pg_catalog.clock_timestamp() + interval '{seconds} seconds' $$;
            ALTER DATABASE {name} SET search_path = skewed, pg_catalog, public"""
    )
    await connection.close()
    assert "Keep both machines' clocks with NTP" in await refusal(settings)


async def test_a_live_merchant_whose_money_would_be_pretended_is_refused(
    settings: Settings,
) -> None:
    assert settings.database_url is not None
    store = await Store.open(settings.database_url, root_key=ROOT_KEY)
    merchant = await make_merchant(store)
    async with store.begin() as tx:
        await tx.channels.add(
            merchant.id, "another-key", "nice", "LIVE1", "sandbox", test=False, settings={}
        )
    await refuse_risks(settings, settings.database_url)  # not live: nobody is fooled

    async with store.begin() as tx:
        await tx.merchants.change(replace(merchant, live=True, allow_test_channels=False))
    assert f"live merchant {merchant.id} has nice.LIVE1 there" in await refusal(settings)

    async with store.begin() as tx:
        await tx.merchants.change(replace(merchant, live=True, allow_test_channels=True))
    await refuse_risks(settings, settings.database_url)
    await store.close()


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_the_commands_refuse_in_one_sentence(
    command: str, database_url: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "naru.cli.main", command],
        env={
            "PATH": os.environ["PATH"],
            "NARU_DATABASE_URL": database_url,
            "NARU_SECRET": "a root key of this test, long enough",
            "NARU_HOME": str(tmp_path),
            "NARU_PORT": "18898",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("naru: durability: ")
    assert done.stderr.count("\n") == 1


def test_only_known_risks_can_be_accepted() -> None:
    read = Settings.read({"NARU_ACCEPT_RISKS": ", ".join(RISKS)})
    assert read.accept_risks == RISKS
    with pytest.raises(ConfigError, match="not 'everything'"):
        Settings.read({"NARU_ACCEPT_RISKS": "everything"})
