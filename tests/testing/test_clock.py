"""Time is moved in a private gateway and nowhere else, and there for everybody at once."""

from __future__ import annotations

import ast
import json
import urllib.request
from pathlib import Path

from naru.config import Settings
from naru.testing.imp import Imp

ROOT = Path(__file__).parents[2]
DOORS_OF_TIME = {"open_gateway", "create_app", "App"}
CLOCK_ARGUMENT = 1  # of create_app and App, after the settings


def givers_of_a_clock() -> set[str]:
    """Files in which a gateway is opened with a clock that is not the machine's own."""
    found = set()
    for path in (ROOT / "naru").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            clock = any(each.arg in (None, "now") for each in node.keywords)
            if name in DOORS_OF_TIME and (clock or len(node.args) > CLOCK_ARGUMENT):
                found.add(path.relative_to(ROOT / "naru").as_posix())
    return found


def test_no_gateway_that_takes_money_is_given_another_clock() -> None:
    # app.py hands on what it was given; the sandbox PG and the shop have a create_app of their own.
    others = {"sandbox/__main__.py", "shop/__main__.py"}
    assert givers_of_a_clock() - others == {"app.py", "testing/house.py"}
    assert not [name for name in Settings.__dataclass_fields__ if "clock" in name or "now" in name]
    schema = (ROOT / "naru/store/migrations/schema.sql").read_text("utf-8")
    assert "FUNCTION public.now(" not in schema
    assert "private_clock" not in schema


def test_gateway_pg_and_database_are_at_the_same_time(imp: Imp) -> None:
    def pg_now() -> int:
        with urllib.request.urlopen(f"{imp.sandbox_url}/desk/state", timeout=20) as answer:
            return int(json.load(answer)["server_time"])

    def token_now() -> int:
        body = json.dumps({"imp_key": imp.imp_key, "imp_secret": imp.imp_secret}).encode()
        asked = urllib.request.Request(
            f"{imp.url}/users/getToken", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return int(json.load(answer)["response"]["now"])

    before = imp.settle()
    after = imp.advance("2d")
    assert abs((after - before).total_seconds() - 2 * 86_400) < 60
    assert abs(pg_now() - after.timestamp()) < 60
    assert abs(token_now() - after.timestamp()) < 60
    # The database's own time: a webhook that nobody takes is tried again by it, and only then.
    imp.webhooks.to("http://127.0.0.1:9")
    imp.pay("order-1", 1000)
    imp.approve()
    assert len(imp.webhooks.arrived) == 1
    imp.settle()
    assert len(imp.webhooks.arrived) == 1
    imp.advance("11s")
    assert len(imp.webhooks.arrived) == 2
