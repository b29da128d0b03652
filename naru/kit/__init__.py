"""What a merchant installs: ask a gateway that speaks i'mport, believe only what it answers.

from naru.kit import Client, Order, Paid, verify_payment

client = Client(api_key, api_secret)          # or base_url="http://127.0.0.1:8800"
payment = client.payment(imp_uid)             # never trust the browser: ask
order = Order(merchant_uid=..., amount=...)   # found by payment.merchant_uid, in your database
if isinstance(verify_payment(payment, order), Paid):
    ...                                       # and only then
"""

from naru.kit.client import AsyncClient, Client
from naru.kit.errors import (
    BadWebhook,
    ConnectionFailed,
    Denied,
    KitError,
    MalformedAnswer,
    NotFound,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from naru.kit.operations.asked import Card
from naru.kit.operations.subscribe import Plan
from naru.kit.records import (
    BillingKey,
    CashAmount,
    Certification,
    Delivery,
    ProductOrder,
    QuickMember,
    Receipt,
    Review,
    Schedule,
    SchedulePage,
    Shipment,
    StandardCode,
    Tier,
)
from naru.kit.types import Balance, Cancellation, Page, Payment, PgSetting, Prepared, Share
from naru.kit.verify import (
    Cancelled,
    Failed,
    Forged,
    Order,
    Paid,
    Unfinished,
    Verdict,
    WaitingForDeposit,
    verify_payment,
)
from naru.kit.webhook import Report, Webhook, read_report, read_webhook

__all__ = [
    "AsyncClient",
    "BadWebhook",
    "Balance",
    "BillingKey",
    "Cancellation",
    "Cancelled",
    "Card",
    "CashAmount",
    "Certification",
    "Client",
    "ConnectionFailed",
    "Delivery",
    "Denied",
    "Failed",
    "Forged",
    "KitError",
    "MalformedAnswer",
    "NotFound",
    "Order",
    "Page",
    "Paid",
    "Payment",
    "PgSetting",
    "Plan",
    "Prepared",
    "ProductOrder",
    "QuickMember",
    "Receipt",
    "Refused",
    "Report",
    "Review",
    "Schedule",
    "SchedulePage",
    "Share",
    "Shipment",
    "StandardCode",
    "Tier",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "Unfinished",
    "Verdict",
    "WaitingForDeposit",
    "Webhook",
    "read_report",
    "read_webhook",
    "verify_payment",
]
