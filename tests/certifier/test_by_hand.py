"""A shop that somebody started themselves, before there was a gateway: configured once, certified again and again."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from naru.certifier.adapter import Adapter, read_adapter
from naru.certifier.certify import certify
from naru.certifier.shop import ShopTrouble, free_origin
from naru.testing.private_gateway import GatewayTrouble
from tests.certifier.campaign import attacks_called
from tests.certifier.shops import HERE
from tests.support.scale import often

SECRET = "made-up-for-this-test-and-for-nothing-else"
WEBHOOK_SECRET = "whsec_dGhlLXNob3Atb2YtYS10ZXN0LWJ5LWhhbmQtMDE="
ATTACKS = attacks_called(["honest-callback", "honest-webhook"])


@dataclass(frozen=True)
class Running:
    """The shop's address, and the port where it looks for its gateway."""

    url: str
    gateway_port: int

    def adapter(self, folder: Path, *, imp_secret: str = SECRET) -> Adapter:
        """What its owner writes."""
        text = (HERE / "by_hand_flask" / "shop.toml").read_text("utf-8")
        orders = text[text.index("[order]") :]
        file = folder / "shop.toml"
        file.write_text(
            f"""
[gateway]
port = {self.gateway_port}
imp_key = "1234567890123456"
imp_secret = "{imp_secret}"
user_code = "imp12345678"
webhook_secret = "{WEBHOOK_SECRET}"
{orders}""",
            "utf-8",
        )
        return read_adapter(file)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A correct shop, running, with no gateway in sight."""
    url = free_origin()
    with socket.create_server(("127.0.0.1", 0)) as free:
        gateway_port = free.getsockname()[1]
    environ = dict(os.environ) | {
        "PORT": url.rpartition(":")[2],
        "DATABASE": str(tmp_path_factory.mktemp("by-hand") / "shop.sqlite"),
        "IMP_URL": f"http://127.0.0.1:{gateway_port}",
        "IMP_KEY": "1234567890123456",
        "IMP_SECRET": SECRET,
        "WEBHOOK_SECRET": WEBHOOK_SECRET,
    }
    command = [sys.executable, "-m", "by_hand_flask.shop"]
    process = subprocess.Popen(command, cwd=HERE, env=environ, stderr=subprocess.DEVNULL)
    try:
        again = urllib3.Retry(60, backoff_factor=0.05, backoff_max=0.2)
        urllib3.PoolManager().request("GET", url, retries=again)
        yield Running(url, gateway_port)
    finally:
        process.terminate()
        process.wait(10)


def test_it_is_certified_as_often_as_one_likes(running: Running, tmp_path: Path) -> None:
    """Each run is another gateway at the same port: the token that the shop holds is no longer good."""
    adapter = running.adapter(tmp_path)
    assert not adapter.start
    for seed in range(often(1, 4)):
        run = certify(adapter, running.url, ATTACKS, seed=seed, command=["naru"])
        assert [outcome.verdict for outcome in run.outcomes] == ["held"] * len(ATTACKS)
        assert run.passed
        paid = [order for outcome in run.outcomes for order in outcome.orders if order.fulfilled]
        assert len(paid) >= len(ATTACKS)
    assert SECRET not in repr(run)
    # The control: with another secret than the shop's it is not the shop's gateway.
    wrong = running.adapter(tmp_path, imp_secret="another-secret-than-the-shop-was-given")
    run = certify(wrong, running.url, ATTACKS[:1], seed=0, command=["naru"])
    # Nobody there can be asked about an honest payment, so nothing is proven.
    assert run.outcomes[0].verdict == "trouble"
    assert not run.passed


@pytest.mark.skipif(not often(0, 1), reason="two more gateways: make nightly")
def test_a_port_that_is_taken_and_a_shop_that_is_not_there_are_said(
    running: Running, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", running.gateway_port)):
        taken = re.escape(f"Port {running.gateway_port} of 127.0.0.1 cannot be had")
        with pytest.raises(GatewayTrouble, match=taken):
            certify(running.adapter(tmp_path), running.url, ATTACKS, seed=0, command=["naru"])
    with pytest.raises(ShopTrouble, match="does not answer"):
        certify(running.adapter(tmp_path), free_origin(), ATTACKS, seed=0, command=["naru"])
