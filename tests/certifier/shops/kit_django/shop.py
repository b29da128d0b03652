"""A shop in Django with the kit, its orders in Django's ORM."""

import json
import os
import secrets

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from kit_django.models import Order, Parcel

from naru.kit import Client, Finaliser, Payment
from naru.kit.orders import StoredOrder
from naru.kit.orders.django import DjangoOrders
from naru.kit.receive.django import urls


def fulfil(order: StoredOrder, payment: Payment, session: str) -> None:
    Parcel.objects.using(session).create(order_id=order.merchant_uid)


till = Finaliser(
    Client(os.environ["IMP_KEY"], os.environ["IMP_SECRET"], base_url=os.environ["IMP_URL"]),
    DjangoOrders(Order),
    fulfil=fulfil,
    allow_sandbox=os.environ.get("SHOP_TAKES_PLAY_MONEY") == "yes",
)


# The back office: how the certifier orders, looks, and lets cron run.


def front(request: HttpRequest) -> HttpResponse:
    return HttpResponse("어서 오세요")


@csrf_exempt
def place(request: HttpRequest) -> HttpResponse:
    merchant_uid = f"ORD-{secrets.token_hex(8)}"
    Order.objects.create(merchant_uid=merchant_uid, amount=json.loads(request.body)["amount"])
    return JsonResponse({"merchant_uid": merchant_uid})


def look(request: HttpRequest, merchant_uid: str) -> HttpResponse:
    order = Order.objects.get(pk=merchant_uid)
    paid = order.payment_status == "paid"
    return JsonResponse(
        {
            "status": order.payment_status,
            "fulfilled": order.parcel_set.count(),
            "paid_amount": order.amount - order.cancelled_amount if paid else 0,
        }
    )


@csrf_exempt
def change_price(request: HttpRequest, merchant_uid: str) -> HttpResponse:
    unpaid = Order.objects.filter(pk=merchant_uid, payment_status="placed")
    changed = unpaid.update(amount=json.loads(request.body)["amount"])
    return HttpResponse(status=200 if changed else 409)


@csrf_exempt
def sweep(request: HttpRequest) -> HttpResponse:
    swept = till.sweep()
    return JsonResponse({"finished": len(swept.finished), "findings": len(swept.findings)})


urlpatterns = [
    path("", front),
    path("payments/", include(urls(till, secret=os.environ["WEBHOOK_SECRET"]))),
    path("certify/orders", place),
    path("certify/orders/<str:merchant_uid>", look),
    path("certify/orders/<str:merchant_uid>/price", change_price),
    path("certify/sweep", sweep),
]
