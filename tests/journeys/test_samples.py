"""The requirement document's own pages, with the real jQuery, React and Vue, pay for real."""

from __future__ import annotations

from typing import Any

import pytest

from tests.journeys.buyer import Buyer, Way, by_isp, by_mpi, by_pin
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

# React's and Vue's samples name the same order, and an order is paid once: Vue's gets another number.
OTHER_NUMBER = """() => { const real = IMP.request_pay;
  IMP.request_pay = (param, told) =>
    real.call(IMP, { ...param, merchant_uid: "ORD20180131-0000012" }, told); }"""


@pytest.mark.parametrize(
    ("name", "library", "merchant_uid", "amount", "way"),
    [
        ("sample", "jQuery.fn.jquery === '1.12.4'", "57008833-33004", 1_004, by_mpi),
        ("react", "React.version === '18.3.1'", "ORD20180131-0000011", 64_900, by_isp),
        ("vue", "Vue.version.startsWith('3.5.')", "ORD20180131-0000012", 64_900, by_pin),
    ],
)
async def test_a_page_of_the_document_pays(
    buyer: Buyer,
    parties: Parties,
    name: str,
    library: str,
    merchant_uid: str,
    amount: int,
    way: Way,
) -> None:
    page = buyer.page
    await page.goto(f"{parties.shop}/samples/{name}.html")
    assert await page.evaluate(library) is True
    if name == "vue":
        await page.evaluate(OTHER_NUMBER)
    async with page.expect_console_message(
        lambda message: message.type == "log" and len(message.args) == 1
    ) as printed:
        await page.get_by_role("button", name="결제하기").click()
        await way(parties, buyer.layer)
    answer: dict[str, Any] = await (await printed.value).args[0].json_value()

    assert (answer["success"], answer["merchant_uid"]) == (True, merchant_uid)
    assert (answer["paid_amount"], answer["status"]) == (amount, "paid")
    payment = await parties.kit.payment(answer["imp_uid"])
    assert payment.status == "paid"
    assert payment.amount == amount
    assert payment.apply_num == answer["apply_num"]
    assert await parties.book(merchant_uid) == [("charge", amount)]
