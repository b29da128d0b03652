// A shop that looks first whether the order is paid already, and then takes its time.
//
// Callback and webhook come at the same moment, both find the order unpaid, both ask the gateway, and
// both send the goods.

const express = require("express");
const { Books, desk } = require("../node/books.js");
const { isSigned, raw, serve, told } = require("../node/doors.js");
const { Gateway, Trouble } = require("../node/gateway.js");

const app = express();
const books = new Books(process.env.DATABASE);
const gateway = new Gateway();
app.use(desk(books));

app.post("/payments/complete", raw, async (req, res) => {
  const said = told(req);
  if (!said) return res.status(400).json({ status: "error" });
  const result = await finish(said);
  if (result === "unknown") return res.status(202).json({ status: "checking" });
  return res.status(["paid", "waiting"].includes(result) ? 200 : 400).json({ status: result });
});

app.get("/payments/complete", async (req, res) => {
  const said = told(req);
  if (said) await finish(said);
  res.redirect(303, "/");
});

app.post("/payments/webhook", raw, async (req, res) => {
  if (!isSigned(req)) return res.sendStatus(401);
  const said = told(req);
  if (!said) return res.sendStatus(400);
  const result = await finish(said);
  return res.sendStatus(["unknown", "open"].includes(result) ? 503 : 200);
});

async function finish(said) {
  const order = books.order(said.merchant_uid);
  if (!order) return "no order of ours";
  if (order.status === "paid" && said.status !== "cancelled") return "paid";
  let payment = null;
  try {
    payment = await gateway.payment(said.imp_uid);
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    return "unknown";
  }
  if (!payment || payment.merchant_uid !== order.merchant_uid) return "forgery";
  const { amount, currency } = books.order(order.merchant_uid);
  if (payment.amount !== amount || payment.currency !== currency) return "forgery";
  if (order.imp_uid && order.imp_uid !== payment.imp_uid) return "paid by another payment";
  return step(order, payment);
}

function step(order, payment) {
  const number = order.merchant_uid;
  const left = payment.amount - payment.cancel_amount;
  if (payment.cancel_amount) {
    books.write(
      "UPDATE orders SET paid_amount = min(paid_amount, ?), status =" +
        " CASE WHEN status = 'paid' AND ? > 0 THEN 'paid' ELSE 'cancelled' END" +
        " WHERE merchant_uid = ?",
      ...[left, left, number],
    );
    return "cancelled";
  }
  if (order.status === "cancelled") return "cancelled";
  if (payment.status === "paid") {
    books.transaction(() => {
      books.write("INSERT INTO parcels (merchant_uid) VALUES (?)", number);
      books.write(
        "UPDATE orders SET status = 'paid', imp_uid = ?, paid_amount = ? WHERE merchant_uid = ?",
        ...[payment.imp_uid, left, number],
      );
    });
    return "paid";
  }
  if (payment.status === "ready" && payment.vbank_num) {
    books.write(
      "UPDATE orders SET status = 'waiting', account = ? WHERE merchant_uid = ?",
      ...[`${payment.vbank_name} ${payment.vbank_num}`, number],
    );
    return "waiting";
  }
  return payment.status === "ready" ? "open" : "failed";
}

serve(app);
