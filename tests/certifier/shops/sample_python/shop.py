"""The official sample's three steps, in Python, and nothing beside them.

What it takes over from there: the order is looked up by the payment's number for its price, and written
by the browser's; whatever the status is, it is saved; each report of a payment sends the goods.
"""

import os

import urllib3
from flask import Flask, request
from python.books import Books, desk
from python.doors import serve

IMP = os.environ["IMP_URL"]
app = Flask(__name__)
orders = Books(os.environ["DATABASE"])
http = urllib3.PoolManager()
app.register_blueprint(desk(orders))


@app.post("/payments/complete")
@app.post("/payments/webhook")
def report():
    # STEP 01: what the page, or the webhook, tells
    body = request.get_json()
    return complete(body["imp_uid"], body["merchant_uid"])


@app.get("/payments/complete")
def come_back():
    return complete(request.args["imp_uid"], request.args["merchant_uid"])


def complete(imp_uid, merchant_uid):
    try:
        # STEP 02: a token, and with it the payment
        keys = {"imp_key": os.environ["IMP_KEY"], "imp_secret": os.environ["IMP_SECRET"]}
        answer = http.request("POST", f"{IMP}/users/getToken", json=keys)
        access_token = answer.json()["response"]["access_token"]
        answer = http.request(
            "GET", f"{IMP}/payments/{imp_uid}", headers={"Authorization": access_token}
        )
        payment = answer.json()["response"]

        # STEP 03: is the paid amount the one that had to be paid?
        order = orders.order(payment["merchant_uid"])
        if payment["amount"] != order["amount"]:
            return {"status": "forgery", "message": "위조된 결제시도"}, 400
        save(merchant_uid, payment)
        match payment["status"]:
            case "ready":
                return {"status": "vbankIssued", "message": "가상계좌 발급 성공"}
            case "paid":
                send_goods(merchant_uid)
                return {"status": "success", "message": "일반 결제 성공"}
            case other:
                return {"status": other}
    except Exception as error:
        return {"status": "error", "message": str(error)}, 400


def save(merchant_uid, payment):
    paid = payment["amount"] if payment["status"] == "paid" else 0
    orders.write(
        "UPDATE orders SET status = ?, imp_uid = ?, paid_amount = ?, account = ?"
        " WHERE merchant_uid = ?",
        payment["status"],
        payment["imp_uid"],
        paid,
        payment["vbank_num"],
        merchant_uid,
    )


def send_goods(merchant_uid):
    orders.write("INSERT INTO parcels (merchant_uid) VALUES (?)", merchant_uid)


if __name__ == "__main__":
    serve(app)
