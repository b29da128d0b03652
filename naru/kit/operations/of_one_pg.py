"""What only one PG can do: Naver, PAYCO, Paymentwall, KCP quick pay, Benepia, Galaxia. Source: V1, REST facts §9, §10."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from naru.kit.operations.asked import Money, Order, begin, wired
from naru.kit.operations.call import (
    Call,
    imp_uid_of,
    list_of,
    money_of,
    query_of,
    segment_of,
    text_of,
    the_payment,
    unix_seconds,
)
from naru.kit.records import CashAmount, Delivery, ProductOrder, QuickMember, Review
from naru.kit.types import Facts, Payment

CancelReason = Literal[
    "SOLD_OUT",
    "DELAYED_DELIVERY",
    "PRODUCT_UNSATISFIED",
    "INTENT_CHANGED",
    "COLOR_AND_SIZE",
    "WRONG_ORDER",
    "INCORRECT_INFO",
]
ReturnReason = Literal[
    "INTENT_CHANGED",
    "COLOR_AND_SIZE",
    "WRONG_ORDER",
    "PRODUCT_UNSATISFIED",
    "DELAYED_DELIVERY",
    "SOLD_OUT",
    "DROPPED_DELIVERY",
    "BROKEN",
    "INCORRECT_INFO",
    "WRONG_DELIVERY",
    "WRONG_OPTION",
]
DeliveryMethod = Literal[
    "DELIVERY", "GDFW_ISSUE_SVC", "VISIT_RECEIPT", "DIRECT_DELIVERY", "QUICK_SVC", "NOTHING"
]
ReturnMethod = Literal["RETURN_DESIGNATED", "RETURN_DELIVERY", "RETURN_INDIVIDUAL"]
WithholdReason = Literal[
    "RETURN_DELIVERYFEE",
    "EXTRAFEEE",
    "RETURN_DELIVERYFEE_AND_EXTRAFEEE",
    "RETURN_PRODUCT_NOT_DELIVERED",
    "ETC",
]
ProductOrders = list[ProductOrder]

# Naver orders: `product_order_ids` names some products of the order, none means all. Answered are
# those that it could be done to (HTTP 207 when that is not all of them).


def cancel_naver_order(
    imp_uid: str, product_order_ids: Iterable[str] = (), *, reason: CancelReason | None = None
) -> Call[ProductOrders]:
    """Cancel products of a Naver order; their money goes back. An unknown reason counts as unsatisfied."""
    return _naver(imp_uid, "cancel", product_order_ids, reason=reason)


def approve_naver_cancel(
    imp_uid: str, product_order_ids: Iterable[str] = ()
) -> Call[ProductOrders]:
    """Agree to a cancel that the buyer asked for."""
    return _naver(imp_uid, "approve-cancel", product_order_ids)


def place_naver_order(imp_uid: str, product_order_ids: Iterable[str] = ()) -> Call[ProductOrders]:
    """Tell Naver that the order was seen."""
    return _naver(imp_uid, "place", product_order_ids)


def ship_naver_order(
    imp_uid: str,
    product_order_ids: Iterable[str] = (),
    *,
    delivery_method: DeliveryMethod,
    dispatched_at: datetime,
    delivery_company: str | None = None,
    tracking_number: str | None = None,
) -> Call[ProductOrders]:
    """Tell Naver that products left; `DELIVERY` needs the company and its number."""
    return _naver(
        imp_uid,
        "ship",
        product_order_ids,
        delivery_method=delivery_method,
        dispatched_at=dispatched_at,
        delivery_company=delivery_company,
        tracking_number=tracking_number,
    )


def ship_naver_exchange(
    imp_uid: str,
    product_order_ids: Iterable[str] = (),
    *,
    delivery_method: DeliveryMethod,
    delivery_company: str | None = None,
    tracking_number: str | None = None,
) -> Call[ProductOrders]:
    """Tell Naver that the products of an exchange left."""
    return _naver(
        imp_uid,
        "ship-exchanged",
        product_order_ids,
        delivery_method=delivery_method,
        delivery_company=delivery_company,
        tracking_number=tracking_number,
    )


def collect_naver_exchange(
    imp_uid: str, product_order_ids: Iterable[str] = ()
) -> Call[ProductOrders]:
    """Tell Naver that the products to be exchanged came back."""
    return _naver(imp_uid, "collect-exchanged", product_order_ids)


def request_naver_return(
    imp_uid: str,
    product_order_ids: Iterable[str] = (),
    *,
    delivery_method: ReturnMethod,
    reason: ReturnReason | None = None,
    delivery_company: str | None = None,
    tracking_number: str | None = None,
) -> Call[ProductOrders]:
    """Ask for a return in the buyer's place."""
    return _naver(
        imp_uid,
        "request-return",
        product_order_ids,
        delivery_method=delivery_method,
        reason=reason,
        delivery_company=delivery_company,
        tracking_number=tracking_number,
    )


def approve_naver_return(
    imp_uid: str, product_order_ids: Iterable[str] = (), *, memo: str | None = None
) -> Call[ProductOrders]:
    """Agree to a return; its money goes back."""
    return _naver(imp_uid, "approve-return", product_order_ids, memo=memo)


def reject_naver_return(
    imp_uid: str, product_order_ids: Iterable[str] = (), *, memo: str
) -> Call[ProductOrders]:
    """Refuse a return, and say why."""
    return _naver(imp_uid, "reject-return", product_order_ids, memo=memo)


def withhold_naver_return(
    imp_uid: str,
    product_order_ids: Iterable[str] = (),
    *,
    memo: str,
    reason: WithholdReason | None = None,
    extra_charge: Money | None = None,
) -> Call[ProductOrders]:
    """Hold a return's money back for now, and say why."""
    return _naver(
        imp_uid,
        "withhold-return",
        product_order_ids,
        memo=memo,
        reason=reason,
        extra_charge=money_of(extra_charge),
    )


def resolve_naver_return(
    imp_uid: str, product_order_ids: Iterable[str] = ()
) -> Call[ProductOrders]:
    """Hold it back no longer."""
    return _naver(imp_uid, "resolve-return", product_order_ids)


def give_naver_points(imp_uid: str) -> Call[None]:
    """Have Naver give the buyer the points of this payment."""
    return Call("POST", _naver_path(imp_uid, "point"), _nothing, fields={})


def confirm_naver_order(
    imp_uid: str, *, requester: Literal["admin", "customer"] | None = None
) -> Call[None]:
    """Confirm an escrow order at Naver."""
    fields = wired({}, requester=requester)
    return Call("POST", _naver_path(imp_uid, "confirm"), _nothing, fields=fields)


def naver_product_orders(imp_uid: str) -> Call[ProductOrders]:
    """The products of a Naver order."""
    path = _naver_path(imp_uid, "product-orders")
    return Call("GET", path, list_of(ProductOrder.read), question=True)


def naver_product_order(product_order_id: str) -> Call[ProductOrder]:
    """One product of a Naver order. Raises NotFound."""
    path = f"/naver/product-orders/{segment_of('product_order_id', product_order_id)}"
    return Call("GET", path, ProductOrder.read, question=True)


def naver_reviews(
    *,
    since: datetime,
    until: datetime,
    review_type: Literal["general", "premium"],
    channel_key: str | None = None,
) -> Call[list[Review]]:
    """What buyers wrote."""
    fields: dict[str, Any] = {
        "from": unix_seconds(since),
        "to": unix_seconds(until),
        "review_type": review_type,
        "channel_key": channel_key,
    }
    return Call("GET", "/naver/reviews", list_of(Review.read), query_of(**fields), question=True)


def naver_cash_amount(imp_uid: str) -> Call[CashAmount]:
    """How much of a Naver payment a cash receipt may be issued for."""
    return Call("GET", _naver_path(imp_uid, "cash-amount"), CashAmount.read, question=True)


def set_payco_status(
    imp_uid: str, status: Literal["DELIVERY_START", "PURCHASE_DECISION", "CANCELED"]
) -> Call[str]:
    """Tell PAYCO how far an order is; answers its status."""
    path = f"/payco/orders/status/{imp_uid_of(imp_uid)}"
    return Call("POST", path, _word("status"), fields={"status": status})


class Destination(TypedDict, total=False):
    """Where a physical product goes, and with whom."""

    carrier_tracking_id: str
    carrier_type: str
    shipping_address_country: str
    shipping_address_city: str
    shipping_address_zip: str
    shipping_address_state: str
    shipping_address_street: str
    shipping_address_phone: str
    shipping_address_firstname: str
    shipping_address_lastname: str
    reason: str
    details: str


def report_delivery(
    imp_uid: str,
    merchant_uid: str,
    *,
    type: Literal["physical", "digital"],  # noqa: A002 - V1's own name
    status: Literal["order_placed", "order_shipped", "delivering", "delivered"],
    estimated_delivery_datetime: str,
    estimated_update_datetime: str,
    refundable: Literal["yes", "no"],
    shipping_address_email: str,
    **destination: Unpack[Destination],
) -> Call[Delivery]:
    """Tell Paymentwall how far a delivery is; it wants to know of every one."""
    fields = wired(
        destination,
        imp_uid=imp_uid_of(imp_uid),
        merchant_uid=text_of("merchant_uid", merchant_uid),
        type=type,
        status=status,
        estimated_delivery_datetime=estimated_delivery_datetime,
        estimated_update_datetime=estimated_update_datetime,
        refundable=refundable,
        shipping_address_email=shipping_address_email,
    )
    return Call("POST", "/paymentwall/delivery", Delivery.read, fields=fields)


def delete_quick_member(
    member_id: str, *, site_code: str, partner_type: str, partner_subtype: str
) -> Call[QuickMember]:
    """Take a member out of KCP quick pay. Raises NotFound."""
    query = query_of(
        site_code=site_code, partner_type=partner_type, partner_subtype=partner_subtype
    )
    return Call("DELETE", _member(member_id), QuickMember.read, query)


def release_quick_fido(member_id: str, *, channel_key: str) -> Call[str]:
    """Take a member's fingerprint back; answers the member's id."""
    path = f"{_member(member_id)}/fido/release"
    return Call("POST", path, _word("member_id"), fields={"channel_key": channel_key})


class QuickPrepared(TypedDict, total=False):
    """What a prepared quick payment may say."""

    prepaid_auth_yn: Literal["Y", "N"]
    prepaid_amount: int
    vender_type: str
    reward_id: str


def prepare_quick_payment(
    merchant_uid: str,
    *,
    btid: str,
    cust_ip: str,
    code_verifier: str,
    **more: Unpack[QuickPrepared],
) -> Call[str]:
    """Announce a quick payment; answers its order number. Raises Refused (409) when it is announced."""
    fields = wired(more, btid=btid, cust_ip=cust_ip, code_verifier=code_verifier)
    return Call("POST", _prepared(merchant_uid), _word("merchant_uid"), fields=fields)


def change_quick_payment(
    merchant_uid: str,
    *,
    btid: str,
    cust_ip: str,
    code_verifier: str,
    **more: Unpack[QuickPrepared],
) -> Call[str]:
    """Announce it anew. Raises NotFound."""
    fields = wired(more, btid=btid, cust_ip=cust_ip, code_verifier=code_verifier)
    return Call("PUT", _prepared(merchant_uid), _word("merchant_uid"), fields=fields)


def pay_by_quick_money(
    member_id: str,
    merchant_uid: str,
    amount: Money,
    name: str,
    *,
    imp_uid: str,
    channel_key: str,
    notice_url: str | list[str] | None = None,
) -> Call[Payment]:
    """Take a member's KCP money; `imp_uid` is that of the PIN check that the member just passed."""
    return begin(
        "/kcpquick/payment/money",
        merchant_uid,
        amount,
        {},
        member_id=member_id,
        name=name,
        imp_uid=imp_uid_of(imp_uid),
        channel_key=channel_key,
        notice_url=notice_url,
    )


def pay_by_quick_key(
    customer_uid: str,
    merchant_uid: str,
    amount: Money,
    name: str,
    *,
    buyer_name: str,
    notice_url: str | list[str] | None = None,
) -> Call[Payment]:
    """Charge the key of a quick member."""
    return begin(
        "/kcpquick/payment/autopay",
        merchant_uid,
        amount,
        {},
        customer_uid=text_of("customer_uid", customer_uid),
        name=name,
        buyer_name=buyer_name,
        notice_url=notice_url,
    )


def delete_quick_key(customer_uid: str) -> Call[str]:
    """Forget the key of a quick member; answers its name. Raises NotFound."""
    path = f"/kcpquick/autopay/{segment_of('customer_uid', customer_uid)}"
    return Call("DELETE", path, _word("customer_uid"))


def benepia_points(*, user: str, password: str, channel_key: str) -> Call[int]:
    """How many Benepia points somebody has. The password goes to the PG only: never log it."""
    fields = {"benepia_user": user, "benepia_password": password, "channel_key": channel_key}
    # It changes nothing, yet it is no question to be repeated: passwords are counted over there.
    return Call("POST", "/benepia/point", _points, fields=fields)


def pay_by_benepia_points(
    merchant_uid: str,
    amount: Money,
    name: str,
    *,
    user: str,
    password: str,
    channel_key: str,
    member_code: str | None = None,
    **order: Unpack[Order],
) -> Call[Payment]:
    """Pay by Benepia points. Without `member_code` it is a test."""
    return begin(
        "/benepia/payment",
        merchant_uid,
        amount,
        order,
        benepia_user=user,
        benepia_password=password,
        benepia_member_code=member_code,
        name=name,
        channel_key=channel_key,
    )


def issue_barcode(
    merchant_uid: str,
    amount: Money,
    *,
    channel_key: str,
    barcode: str | None = None,
    expired_at: datetime | None = None,
    name: str | None = None,
    confirm_url: str | None = None,
    **order: Unpack[Order],
) -> Call[Payment]:
    """A barcode that is paid at the till of a convenience store; the payment is ready until then."""
    return begin(
        "/cvs",
        merchant_uid,
        amount,
        order,
        channel_key=channel_key,
        barcode=barcode,
        expired_at=expired_at,
        name=name,
        confirm_url=confirm_url,
    )


def revoke_barcode(imp_uid: str) -> Call[Payment]:
    """Take a barcode back that nobody paid; the payment becomes failed."""
    return Call("DELETE", f"/cvs/{imp_uid_of(imp_uid)}", the_payment("imp_uid", imp_uid))


def _naver(
    imp_uid: str, deed: str, product_order_ids: Iterable[str], **fields: Any
) -> Call[ProductOrders]:
    ids = [text_of("product_order_id", each) for each in product_order_ids]
    return Call(
        "POST",
        _naver_path(imp_uid, deed),
        list_of(ProductOrder.read),
        fields=wired({}, product_order_id=ids or None, **fields),
    )


def _naver_path(imp_uid: str, deed: str) -> str:
    return f"/payments/{imp_uid_of(imp_uid)}/naver/{deed}"


def _member(member_id: str) -> str:
    return f"/kcpquick/members/{segment_of('member_id', member_id)}"


def _prepared(merchant_uid: str) -> str:
    return f"/kcpquick/prepare/{segment_of('merchant_uid', merchant_uid)}"


def _nothing(value: Any) -> None:
    """The envelope's code has said it all."""


def _points(value: Any) -> int:
    return Facts(value, "Benepia account").whole("point") or 0


def _word(name: str) -> Any:
    def read(value: Any) -> str:
        return Facts(value, "answer").needed_text(name)

    return read
