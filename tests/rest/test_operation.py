"""naru/rest/operation.py: how a request finds its row in the table."""

import time
from typing import Any

import pytest

from naru.rest.envelope import Answer, HttpRefusal
from naru.rest.operation import Call, Nothing, Operation, Router


async def answer_nothing(call: Call, request: Nothing) -> Answer:
    return Answer(200, b"{}")


def row(method: str, path: str) -> Operation:
    return Operation(method, path, Nothing, "", "", answer_nothing, answer=None, english="")


TABLE = (
    row("GET", "/payments"),
    row("GET", "/payments/{imp_uid}"),
    row("GET", "/payments/{imp_uid}/balance"),
    row("GET", "/payments/find/{merchant_uid}"),
    row("GET", "/payments/find/{merchant_uid}/{payment_status}"),
    row("POST", "/payments/cancel"),
    row("POST", "/payments/prepare"),
    row("PUT", "/payments/prepare"),
    row("GET", "/payments/prepare/{merchant_uid}"),
    row("POST", "/vbanks"),
    row("DELETE", "/vbanks/{imp_uid}"),
)


@pytest.mark.parametrize(
    ("method", "path", "found", "path_fields"),
    [
        ("GET", "/payments", "GET /payments", {}),
        ("GET", "/payments/imp_1", "GET /payments/{imp_uid}", {"imp_uid": "imp_1"}),
        ("GET", "/payments/imp_1/", "GET /payments/{imp_uid}", {"imp_uid": "imp_1"}),
        ("POST", "/payments/imp_1", "GET /payments/{imp_uid}", {"imp_uid": "imp_1"}),
        ("HEAD", "/payments/imp_1", "GET /payments/{imp_uid}", {"imp_uid": "imp_1"}),
        ("POST", "/payments/cancel/", "POST /payments/cancel", {}),
        ("PUT", "/payments/prepare/", "PUT /payments/prepare", {}),
        ("GET", "/payments/imp_1/balance", "GET /payments/{imp_uid}/balance", {"imp_uid": "imp_1"}),
        (
            "GET",
            "/payments/find/m/paid",
            "GET /payments/find/{merchant_uid}/{payment_status}",
            {"merchant_uid": "m", "payment_status": "paid"},
        ),
        # A named segment goes before a value, also where a value would fit as well.
        (
            "GET",
            "/payments/prepare/balance",
            "GET /payments/prepare/{merchant_uid}",
            {"merchant_uid": "balance"},
        ),
        # An order number may hold what a path holds, when it is escaped.
        (
            "GET",
            "/payments/find/a%2Fb%3F",
            "GET /payments/find/{merchant_uid}",
            {"merchant_uid": "a/b?"},
        ),
        (
            "GET",
            "/payments/find/%EC%A3%BC%EB%AC%B8",
            "GET /payments/find/{merchant_uid}",
            {"merchant_uid": "주문"},
        ),
        ("GET", "/payments/find/a+b", "GET /payments/find/{merchant_uid}", {"merchant_uid": "a+b"}),
    ],
)
def test_a_request_finds_its_row(
    method: str, path: str, found: str, path_fields: dict[str, str]
) -> None:
    operation, fields = Router(TABLE).find(method, path.encode())

    assert f"{operation.method} {operation.path}" == found
    assert fields == path_fields


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/payments/a/b/c/d", 404),
        ("GET", "/payments//balance", 404),
        ("GET", "/payments/cancel", 405),
        ("DELETE", "/payments/cancel", 405),
        ("GET", "/vbanks", 405),
        ("GET", "/vbanks/imp_1", 405),
        ("GET", "/payments/%ff", 400),
        ("GET", "/payments/%00", 400),
    ],
)
def test_a_request_without_a_row_is_told_why(method: str, path: str, status: int) -> None:
    with pytest.raises(HttpRefusal) as refused:
        Router(TABLE).find(method, path.encode())

    assert refused.value.status == status
    if status == 405:
        assert refused.value.headers[0][0] == b"allow"


def test_a_row_stands_in_the_table_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        Router((*TABLE, row("GET", "/payments/{another_name}")))


def test_a_row_has_exactly_one_verb() -> None:
    with pytest.raises(ValueError, match="one verb"):
        Operation("GET", "/x", Nothing, "", "", answer=None, english="")


def test_finding_a_row_does_not_get_slower_as_the_table_grows() -> None:
    """Counted in dict lookups a segment at a time; a linear scan of 4,000 rows would be 50 times slower."""

    def best(router: Router) -> float:
        times: list[float] = []
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(100):
                router.find("GET", b"/payments/imp_123456789012")
            times.append(time.perf_counter() - start)
        return min(times)

    many: list[Any] = [row("GET", f"/room{number}/{{id}}/x") for number in range(4_000)]

    assert best(Router([*many, *TABLE])) < 10 * best(Router(TABLE))


def test_the_door_knows_which_paths_are_its_own() -> None:
    router = Router(TABLE)

    assert router.owns(b"/payments/cancel")
    assert router.owns(b"/payments/imp_1/")
    assert not router.owns(b"/checkout/payments")
    assert not router.owns(b"/users/pg/imp00000000")
