"""The certifier before a shop that is odd in one way (odd_shop.py)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from naru.certifier.adapter import Adapter, HttpCall, Page, read_adapter
from naru.certifier.certify import Certifier
from naru.certifier.result import Outcome
from naru.certifier.shop import Shop, free_origin
from naru.certifier.stage import Stage
from naru.certifier.tape import Tape
from naru.testing.private_gateway import PrivateGateway
from tests.certifier import odd_shop

SEED = 1


@contextmanager
def certifying(
    gateway: PrivateGateway, name: str, *, webhook_format: str = "json"
) -> Iterator[Certifier]:
    """A small shop as odd_shop.py serves it, at a gateway that other tests use as well."""
    gateway.start()
    imp = gateway.open_shop(name, webhook_format=webhook_format)
    imp.webhooks.hold()
    names = {
        "imp_url": imp.url,
        "imp_key": imp.imp_key,
        "imp_secret": imp.imp_secret,
        "user_code": imp.user_code,
        "webhook_secret": imp.webhook_secret,
    }
    tape = Tape([imp.imp_secret, imp.webhook_secret])
    shop = Shop(_adapter(name), free_origin(), names, tape)
    stage = Stage(gateway, imp, shop, tape)
    try:
        shop.start()
        yield Certifier(stage, SEED, "naru certify", {})
    finally:
        shop.stop()
        stage.close()


@contextmanager
def odd(
    certifier: Certifier,
    *,
    kind: str = "good",
    mistake: str | None = None,
    number: str | None = None,
    webhook: bool = True,
) -> Iterator[Certifier]:
    """The same shop with a page of this kind, this mistake at its doors, orders of this number.

    Without `webhook` it has no door for those.
    """
    stage, usual = certifier.stage, certifier.stage.adapter
    assert isinstance(usual.callback, HttpCall)
    assert isinstance(usual.order, HttpCall)
    assert usual.page is not None
    tail = f"?mistake={mistake}" if mistake else ""
    path = f"{usual.webhook_path}{tail}" if webhook else None
    changed = replace(
        usual,
        page=replace(usual.page, url=f"{usual.page.url}?kind={kind}"),
        callback=replace(usual.callback, path=f"{usual.callback.path}{tail}"),
        webhook_path=path,
    )
    if number is not None:
        changed = replace(changed, order=replace(usual.order, path=f"/odd/orders?number={number}"))
    stage.adapter = stage.shop.adapter = changed
    try:
        yield certifier
    finally:
        stage.adapter = stage.shop.adapter = usual


def broken_in(outcome: Outcome) -> set[tuple[str, str]]:
    """Which order broke which rule."""
    assert outcome.verdict in ("held", "broken"), outcome.why
    return {(breach.order, breach.rule.id) for breach in outcome.breaches}


def _adapter(name: str) -> Adapter:
    adapter = read_adapter(odd_shop.SHOPS / name / "shop.toml")
    return replace(
        adapter,
        start=("{python}", odd_shop.__file__, name),
        env={**adapter.env, "USER_CODE": "{user_code}"},
        words={**adapter.words, "failed": "unpaid"},
        page=Page("/orders/{merchant_uid}", "#pay"),
    )
