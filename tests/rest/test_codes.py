"""naru/rest/codes.py: the tables of cards and banks."""

from __future__ import annotations

import pytest

from tests.rest.conftest import Desk


@pytest.mark.operation(
    "GET /cards", "GET /cards/{card_standard_code}", "GET /banks", "GET /banks/{bank_standard_code}"
)
async def test_the_tables_are_listed_and_looked_up(desk: Desk) -> None:
    for path, code, name in (("/cards", "361", "BC카드"), ("/banks", "023", "SC은행")):
        listed = await desk.ask("GET", path)
        one = await desk.ask("GET", f"{path}/{code}/")

        assert {"code": code, "name": name} in listed.response
        assert one.response == {"code": code, "name": name}
        missing = await desk.ask("GET", f"{path}/xyz")
        assert (missing.status, missing.body["code"], missing.response) == (404, -1, None)
