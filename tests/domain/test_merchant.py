"""Whose pages and addresses a merchant allows, for naru/domain/merchant.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from naru.domain.merchant import Merchant, allows_page, allows_return, allows_webhook, origin_of

SHOP = "https://shop.example"


def merchant(*origins: str) -> Merchant:
    lists: dict[str, Any] = dict.fromkeys(
        ("allowed_origins", "allowed_return_origins", "allowed_webhook_origins"), origins
    )
    return Merchant(1, "imp00000000", "shop", **lists)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/",
        "https://SHOP.Example/a?b#c",
        "HTTPS://shop.example:443/a",
        "https://shop.example:/a",
        "https://shop.example?x=https://evil.example",
        "https://shop.example#@evil.example",
    ],
)
def test_spellings_of_the_same_place_are_allowed(url: str) -> None:
    assert allows_return(merchant(SHOP), url)
    assert allows_webhook(merchant(SHOP), url)
    assert allows_return(merchant("HTTPS://Shop.Example:443"), url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "null",
        "loopback",
        "//shop.example/",
        "shop.example",
        "http://shop.example/",
        "https://shop.example:8443/",
        "https://shop.example./",
        "https://shop.example.evil.example/",
        "https://evil.example/https://shop.example",
        "https://shop.example@evil.example/",
        "https://user:pw@shop.example/",
        "https://@shop.example/",
        "https://evil.example\\@shop.example/",
        "https://shop.example\\.evil.example/",
        "https://shop.example%2eevil.example/",
        "https://shop%2eexample/",
        "https://shop。example/",
        "https://shop．example/",
        "https://ѕhop.example/",
        "https://shop.example\x00.evil.example/",
        "https://sh\top.example/",
        " https://shop.example/",
        "https://shop.example:99999/",
        "https://shop.example:4４3/",
        "https://shop.example:0/",
        "https://[shop.example]/",
        "https://[::1/",
        "https://]/",
        "javascript://shop.example/%0aalert(1)",
        "data:text/html,x",
        "file://shop.example/etc/passwd",
        "https:shop.example",
        "https:///shop.example",
        "\ud800",
    ],
)
def test_spellings_of_another_place_are_not(url: str) -> None:
    shop = merchant(SHOP)
    assert not allows_return(shop, url)
    assert not allows_webhook(shop, url)
    assert not allows_page(shop, url)
    # The same with the whole list of words that a list may hold.
    assert not allows_return(merchant("loopback"), url)


@pytest.mark.parametrize("letter", [*";,*'\"()!$&+=~`{}|^<>"])
def test_an_origin_cannot_begin_something_else_in_the_header_where_it_stands(letter: str) -> None:
    # frame-ancestors of the window's policy: a list, closed by a semicolon, where * means anybody.
    origin = f"http://a{letter}x.localhost"
    assert origin_of(origin) is None
    assert not allows_page(merchant("loopback"), origin)


def test_an_empty_list_allows_nobody() -> None:
    for origin in (SHOP, "null", "loopback", "", None):
        assert not allows_page(merchant(), origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost:8801",
        "http://shop.localhost",
        "http://127.0.0.1:5000",
        "http://127.9.9.9",
        "http://[::1]:3000",
        "http://[0:0:0:0:0:0:0:1]",
    ],
)
def test_loopback_is_this_machine(origin: str) -> None:
    assert allows_page(merchant("loopback"), origin)
    assert not allows_page(merchant(SHOP), origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost.evil.example",
        "http://evillocalhost",
        "http://127.0.0.1.evil.example",
        "http://2130706433",
        "http://0x7f.1",
        "http://0.0.0.0",
        "http://[::ffff:10.0.0.1]",
        "http://ⓛocalhost",
        "null",
    ],
)
def test_loopback_is_nothing_that_only_looks_like_it(origin: str) -> None:
    assert not allows_page(merchant("loopback"), origin)


def test_a_page_without_an_origin_must_be_allowed_by_name() -> None:
    assert allows_page(merchant("null"), "null")
    assert not allows_page(merchant(SHOP, "loopback"), "null")


def test_an_ipv6_address_is_one_place_however_it_is_written() -> None:
    assert origin_of("https://[2001:DB8:0:0::1]:443/x") == "https://[2001:db8::1]"


def test_the_native_app_stops_at_its_own_address() -> None:
    assert allows_return(merchant(), "http://detectchangingwebview/iamport/rn")
    assert not allows_return(merchant(), "http://detectchangingwebview.evil.example/")
    assert not allows_return(merchant(), "http://user@detectchangingwebview/")


@given(st.text(max_size=60).map(lambda text: "https://" + text) | st.text(max_size=60))
def test_no_text_makes_it_stumble_and_what_is_read_reads_the_same_again(text: str) -> None:
    origin = origin_of(text)
    assert allows_return(merchant(SHOP), text) == (origin == SHOP) or "detectchanging" in text
    if origin is not None:
        assert origin_of(origin) == origin
