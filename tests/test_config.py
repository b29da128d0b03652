"""The settings: what is read, what is refused, and what is never shown."""

import stat
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from naru.config import (
    ConfigError,
    Settings,
    make_secret,
    read_secret,
    unknown_settings,
)


def test_without_an_environment_the_defaults_make_a_gateway_on_loopback(tmp_path: Path) -> None:
    settings = Settings.read({"NARU_HOME": str(tmp_path)})

    assert (settings.host, settings.port) == ("127.0.0.1", 8800)
    assert settings.public_url == "http://127.0.0.1:8800"
    assert settings.allow_private_addresses is False
    assert settings.database_url is None
    assert settings.secret is None


def test_every_setting_is_read_from_the_variable_of_its_name(tmp_path: Path) -> None:
    settings = Settings.read(
        {
            "NARU_DATABASE_URL": "postgresql://u:p@db/naru",
            "NARU_HOME": str(tmp_path),
            "NARU_HOST": "0.0.0.0",
            "NARU_PORT": "9000",
            "NARU_SHOP_PORT": "9001",
            "NARU_SANDBOX_PORT": "9002",
            "NARU_PUBLIC_URL": "https://pay.example.com/",
            "NARU_SECRET": "s" * 32,
            "NARU_SECRET_OLD": "o" * 32,
            "NARU_OPEN_PER_CHANNEL": "50",
            "NARU_CLOSE_EXPIRED_ACCOUNTS": "on",
            "NARU_API_ACCOUNT_WEBHOOK": "off",
            "NARU_ANSWER_DECLINED": "off",
            "NARU_PREPARED_CURRENCY": "any",
            "NARU_ALERT_URL": "https://chat.example.com/hook?key=1",
            "NARU_ALLOW_PRIVATE_ADDRESSES": "on",
            "NARU_PROCESSES": "4",
            "NARU_START_WAIT": "60",
            "NARU_LEAVE_WAIT": "5",
            "NARU_LOG_LEVEL": "WARNING",
            "NARU_PARTIAL_CANCEL_STATUS": "paid",
            "NARU_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "NARU_ACCEPT_RISKS": "durability, clock",
        }
    )

    assert settings == Settings(
        database_url="postgresql://u:p@db/naru",
        home=tmp_path,
        host="0.0.0.0",
        port=9000,
        shop_port=9001,
        sandbox_port=9002,
        public_url="https://pay.example.com",
        secret=b"s" * 32,
        secret_old=b"o" * 32,
        open_per_channel=50,
        close_expired_accounts=True,
        api_account_webhook=False,
        answer_declined=False,
        prepared_currency="any",
        alert_url="https://chat.example.com/hook?key=1",
        allow_private_addresses=True,
        processes=4,
        start_wait=60,
        leave_wait=5,
        log_level="warning",
        partial_cancel_status="paid",
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1")),
        accept_risks=("durability", "clock"),
    )
    defaults = Settings()
    assert all(getattr(settings, f.name) != getattr(defaults, f.name) for f in fields(settings))


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("NARU_PORT", "0"),
        ("NARU_PORT", "65536"),
        ("NARU_PORT", "٨٨٠٠"),
        ("NARU_PORT", "9" * 5000),
        ("NARU_PROCESSES", "-1"),
        ("NARU_PROCESSES", "many"),
        ("NARU_START_WAIT", "-1"),
        ("NARU_LEAVE_WAIT", "601"),
        ("NARU_DATABASE_URL", "mysql://root:hunter2@db/naru"),
        ("NARU_PUBLIC_URL", "pay.example.com"),
        ("NARU_PUBLIC_URL", "javascript:alert(1)"),
        ("NARU_PUBLIC_URL", "https://[::1"),
        ("NARU_PUBLIC_URL", "https://pay.example.com:port"),
        ("NARU_PUBLIC_URL", "https://user@pay.example.com"),
        ("NARU_PUBLIC_URL", "https://pay.example.com/?a=b"),
        ("NARU_SECRET", "hunter2"),
        ("NARU_HOST", "http://127.0.0.1"),
        ("NARU_ALLOW_PRIVATE_ADDRESSES", "perhaps"),
        ("NARU_LOG_LEVEL", "loud"),
        ("NARU_PARTIAL_CANCEL_STATUS", "partial_cancelled"),
        ("NARU_TRUSTED_PROXIES", "10.0.0.0/33"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_in_one_sentence(variable: str, text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Settings.read({variable: text})

    sentence = str(refusal.value)
    assert sentence.startswith(variable)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 200
    assert "hunter2" not in sentence


def test_the_three_parties_may_not_share_a_port() -> None:
    with pytest.raises(ConfigError, match="three different ports"):
        Settings.read({"NARU_PORT": "8801"})


def test_an_empty_variable_is_an_unset_one(tmp_path: Path) -> None:
    assert Settings.read({"NARU_HOME": str(tmp_path), "NARU_PORT": " "}).port == 8800


def test_nothing_secret_is_in_the_repr() -> None:
    settings = Settings(secret=b"root-key-of-this-test", database_url="postgresql://u:hunter2@db/n")

    assert "root-key" not in repr(settings)
    assert "hunter2" not in repr(settings)


def test_an_address_for_every_network_is_published_as_one_that_can_be_called(
    tmp_path: Path,
) -> None:
    here = {"NARU_HOME": str(tmp_path)}

    assert Settings.read(here | {"NARU_HOST": "0.0.0.0"}).public_url == "http://127.0.0.1:8800"
    assert Settings.read(here | {"NARU_HOST": "::1"}).public_url == "http://[::1]:8800"


def test_the_demo_makes_a_secret_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    made = make_secret(tmp_path / "home")

    assert len(made) >= 32
    assert make_secret(tmp_path / "home") == made
    assert Settings.read({"NARU_HOME": str(tmp_path / "home")}).secret == made
    assert stat.S_IMODE((tmp_path / "home" / "secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["secret"]


def test_a_spoilt_secret_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret(tmp_path)

    (tmp_path / "secret").write_text("")
    with pytest.raises(ConfigError, match="too short"):
        Settings.read({"NARU_HOME": str(tmp_path)})


def test_a_missing_secret_is_asked_for_with_the_command_that_makes_one() -> None:
    with pytest.raises(ConfigError, match="openssl rand"):
        Settings().need_secret()


def test_a_misspelt_setting_is_pointed_out() -> None:
    assert unknown_settings({"NARU_PROT": "1", "NARU_PORT": "2", "PATH": "/bin"}) == [
        "NARU_PROT is not a setting; did you mean NARU_PORT?"
    ]
