// The official sample's three steps, in Express, and nothing beside them.
//
// What it takes over from there: the order is looked up by the payment's number for its price, and
// written by the browser's; whatever the status is, it is saved; each report sends the goods.

const express = require("express");
const { Books, desk } = require("../node/books.js");

const { IMP_URL, IMP_KEY, IMP_SECRET, DATABASE, PORT } = process.env;
const app = express();
const orders = new Books(DATABASE);
app.use(desk(orders));
app.use(express.json());

// STEP 01: what the page, or the webhook, tells
app.post(["/payments/complete", "/payments/webhook"], (req, res) => complete(req.body, res));
app.get("/payments/complete", (req, res) => complete(req.query, res));

async function complete({ imp_uid, merchant_uid }, res) {
  try {
    // STEP 02: a token, and with it the payment
    const login = await fetch(`${IMP_URL}/users/getToken`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ imp_key: IMP_KEY, imp_secret: IMP_SECRET }),
    });
    const { access_token } = (await login.json()).response;
    const asked = await fetch(`${IMP_URL}/payments/${imp_uid}`, {
      headers: { Authorization: access_token },
    });
    const payment = (await asked.json()).response;

    // STEP 03: is the paid amount the one that had to be paid?
    const order = orders.order(payment.merchant_uid);
    if (payment.amount !== order.amount) {
      throw { status: "forgery", message: "위조된 결제시도" };
    }
    save(merchant_uid, payment);
    switch (payment.status) {
      case "ready":
        res.send({ status: "vbankIssued", message: "가상계좌 발급 성공" });
        break;
      case "paid":
        orders.write("INSERT INTO parcels (merchant_uid) VALUES (?)", merchant_uid);
        res.send({ status: "success", message: "일반 결제 성공" });
        break;
      default:
        res.send({ status: payment.status });
    }
  } catch (e) {
    res.status(400).send(e);
  }
}

function save(merchantUid, payment) {
  orders.write(
    "UPDATE orders SET status = ?, imp_uid = ?, paid_amount = ?, account = ? WHERE merchant_uid = ?",
    payment.status,
    payment.imp_uid,
    payment.status === "paid" ? payment.amount : 0,
    payment.vbank_num,
    merchantUid,
  );
}

app.listen(Number(PORT), "127.0.0.1");
