"""The certifier fails every broken shop for its own mistake, and passes every correct one.

Here each broken shop meets the attacks that are there for its mistake, and honest buyers; every shop
meets every attack by `make certify`.
"""

from __future__ import annotations

import pytest

from naru.certifier.attacks import ATTACKS
from naru.certifier.attacks.honest import HONEST
from tests.certifier.campaign import attacks_called, certified, complaints
from tests.certifier.express import express
from tests.certifier.shops import SmallShop, small_shops
from tests.clients.install import CannotInstall

SHOPS = {shop.name: shop for shop in small_shops()}
CORRECT = [name for name, shop in SHOPS.items() if not shop.breaks]
BROKEN = [name for name, shop in SHOPS.items() if shop.breaks]


def ready(name: str) -> SmallShop:
    shop = SHOPS[name]
    if shop.needs_node:
        try:
            express()
        except CannotInstall as error:
            pytest.skip(f"{name} is a shop in Node: {error}")
    return shop


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_shop_passes_every_attack(name: str) -> None:
    run = certified(ready(name))
    assert complaints(SHOPS[name], run) == []
    assert run.passed
    assert run.cost == 0


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_shop_is_found_out(name: str) -> None:
    shop = ready(name)
    run = certified(shop, [*HONEST.attacks, *attacks_called(shop.found_by)])
    assert complaints(shop, run) == []
    assert not run.passed
    broken = {outcome.attack.name for outcome in run.outcomes if outcome.verdict == "broken"}
    assert set(shop.found_by) <= broken


def test_there_are_enough_of_each() -> None:
    assert len(BROKEN) >= 12
    assert len(CORRECT) >= 6
    assert len(ATTACKS) >= 40
    assert any(SHOPS[name].needs_node for name in CORRECT)
    assert any(SHOPS[name].needs_node for name in BROKEN)
