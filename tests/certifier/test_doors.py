"""A door that sends honest buyers away proves nothing, and no attack through it counts as held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from naru.certifier.adapter import HttpCall, read_adapter
from naru.certifier.certify import certify
from naru.certifier.result import Run
from naru.certifier.shop import ShopTrouble, free_origin
from naru.certifier.stage import lying_in_one_place
from tests.certifier.campaign import attacks_called
from tests.certifier.shops import HERE

ADAPTER = read_adapter(HERE / "by_hand_flask" / "shop.toml")


def certified(*names: str, **changed: object) -> Run:
    adapter = replace(ADAPTER, **changed)  # type: ignore[arg-type]
    return certify(adapter, free_origin(), attacks_called(names), seed=1, command=["naru"])


def test_attacks_through_a_door_that_is_not_there_could_not_be_tried() -> None:
    wrong = HttpCall("POST", "/payments/compelte", {"imp_uid": "{imp_uid}"})
    run = certified("order-swap", "honest-webhook", callback=wrong)

    by_name = {outcome.attack.name: outcome for outcome in run.outcomes}
    assert by_name["order-swap"].verdict == "trouble"
    assert by_name["order-swap"].why is not None
    assert "404" in by_name["order-swap"].why.ko
    assert by_name["honest-webhook"].verdict == "held"
    assert not run.passed
    # The control: the same attack through the true door.
    assert certified("order-swap").passed


def test_an_adapter_that_takes_a_new_order_for_a_paid_one_is_refused() -> None:
    with pytest.raises(ShopTrouble, match="A new order is called 'placed', which means paid"):
        certified("order-swap", words={"placed": "paid"})


def test_a_number_that_is_said_twice_lies_in_one_place_at_a_time() -> None:
    twice = HttpCall("POST", "/done?of={merchant_uid}", {"order": ["{merchant_uid}", "{imp_uid}"]})
    assert list(lying_in_one_place(twice)) == [
        HttpCall("POST", "/done?of={lie}", {"order": ["{merchant_uid}", "{imp_uid}"]}),
        HttpCall("POST", "/done?of={merchant_uid}", {"order": ["{lie}", "{imp_uid}"]}),
    ]
    assert list(lying_in_one_place(HttpCall("POST", "/done", {"order": "{merchant_uid}"}))) == []
