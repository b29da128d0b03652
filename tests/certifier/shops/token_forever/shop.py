"""A shop that logs in at the gateway once, and believes it is for ever.

On the developer's machine it never ran longer than half an hour. Then every question is answered 401,
every webhook 503, and orders stay unpaid until somebody restarts it.
"""

import functools
import os

import urllib3
from flask import Flask, redirect
from python.books import Books, desk
from python.doors import check_signature, serve, told

app = Flask(__name__)
books = Books(os.environ["DATABASE"])
http = urllib3.PoolManager(retries=False, timeout=5)
app.register_blueprint(desk(books))


class Trouble(Exception):
    """The gateway could not be asked."""


@functools.cache
def token():
    keys = {"imp_key": os.environ["IMP_KEY"], "imp_secret": os.environ["IMP_SECRET"]}
    return ask("POST", "/users/getToken", json=keys)["access_token"]


def ask(method, path, **rest):
    try:
        answer = http.request(method, os.environ["IMP_URL"] + path, **rest)
        document = answer.json()
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise Trouble(path) from error
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise Trouble(f"{path}: {answer.status}")
    return document["response"]


@app.post("/payments/complete")
def complete():
    try:
        result = finish(told()["imp_uid"])
    except Trouble:
        return {"status": "checking"}, 202
    return {"status": result}, 200 if result in ("paid", "waiting") else 400


@app.get("/payments/complete")
def come_back():
    try:
        finish(told()["imp_uid"])
    except Trouble:
        app.logger.warning("the webhook will ask again")
    return redirect("/", 303)


@app.post("/payments/webhook")
def webhook():
    check_signature()
    try:
        result = finish(told()["imp_uid"])
    except Trouble:
        return "ask again", 503
    return result, 503 if result == "open" else 200


def finish(imp_uid):
    payment = ask("GET", f"/payments/{imp_uid}", headers={"Authorization": token()})
    if payment is None:
        return "forgery"
    with books.transaction() as database:
        order = books.find(database, payment["merchant_uid"])
        if order is None:
            return "no order of ours"
        if payment["amount"] != order["amount"] or payment["currency"] != order["currency"]:
            return "forgery"
        if order["imp_uid"] not in (None, imp_uid):
            return "paid by another payment"
        if payment["cancel_amount"]:
            books.give_back(database, order, payment["amount"] - payment["cancel_amount"])
            return "cancelled"
        if payment["status"] == "paid":
            books.pay(database, order, imp_uid)
            return "cancelled" if order["status"] == "cancelled" else "paid"
        if payment["status"] == "ready" and payment["vbank_num"]:
            books.wait(database, order, f"{payment['vbank_name']} {payment['vbank_num']}")
            return "waiting"
        return "open" if payment["status"] == "ready" else "failed"


if __name__ == "__main__":
    serve(app)
