"""What a merchant installs: ask a gateway that speaks i'mport, believe only what it answers.

from naru.kit import Client, Finaliser

till = Finaliser(
    Client(api_key, api_secret),              # or base_url="http://127.0.0.1:8800"
    orders,                                   # your own table: naru.kit.orders.sqlalchemy, .django
    fulfil=lambda order, payment, session: ...,   # once, in the transaction that makes it paid
)
till.finalise(imp_uid)                        # callback, redirect and webhook alike
till.sweep()                                  # from cron: whatever was never reported
"""

from naru.kit.client import AsyncClient, Client
from naru.kit.errors import (
    BadWebhook,
    ConnectionFailed,
    Denied,
    KitError,
    MalformedAnswer,
    NotFound,
    OutcomeUnknown,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from naru.kit.finalise import AsyncFinaliser, Finaliser
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
from naru.kit.step import Finding
from naru.kit.sweep import Swept
from naru.kit.types import Balance, Cancellation, Page, Payment, PgSetting, Prepared, Share
from naru.kit.verify import (
    Cancelled,
    Failed,
    Forged,
    Order,
    Paid,
    Unknown,
    Verdict,
    WaitingForDeposit,
    verify_payment,
)
from naru.kit.webhook import Report, Webhook, read_report, read_webhook

__all__ = [
    "AsyncClient",
    "AsyncFinaliser",
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
    "Finaliser",
    "Finding",
    "Forged",
    "KitError",
    "MalformedAnswer",
    "NotFound",
    "Order",
    "OutcomeUnknown",
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
    "Swept",
    "Tier",
    "TimedOut",
    "Unauthorized",
    "Unavailable",
    "Unknown",
    "Verdict",
    "WaitingForDeposit",
    "Webhook",
    "read_report",
    "read_webhook",
    "verify_payment",
]
