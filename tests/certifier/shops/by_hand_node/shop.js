// A shop in Express that does everything by hand, and everything right.
//
// Callback, redirect and webhook all end in `finish`: it asks the gateway, and then brings the order
// that the gateway names up to date, in one transaction.

const express = require("express");
const { Books, desk } = require("../node/books.js");
const { isSigned, raw, serve, told } = require("../node/doors.js");
const { Gateway, Trouble } = require("../node/gateway.js");

const app = express();
const books = new Books(process.env.DATABASE);
books.write("CREATE UNIQUE INDEX IF NOT EXISTS one_order_a_payment ON orders (imp_uid)");
const gateway = new Gateway();
app.use(desk(books));

app.post("/payments/complete", raw, async (req, res) => {
  const said = told(req);
  if (!said) return res.status(400).json({ status: "error" });
  const result = await finish(said.imp_uid);
  if (result === "unknown") return res.status(202).json({ status: "checking" });
  return res.status(["paid", "waiting"].includes(result) ? 200 : 400).json({ status: result });
});

app.get("/payments/complete", async (req, res) => {
  const said = told(req);
  if (said) await finish(said.imp_uid);
  res.redirect(303, "/");
});

app.post("/payments/webhook", raw, async (req, res) => {
  if (!isSigned(req)) return res.sendStatus(401);
  const said = told(req);
  if (!said) return res.sendStatus(400);
  const result = await finish(said.imp_uid);
  // What is not known yet is to be told again.
  return res.sendStatus(["unknown", "open"].includes(result) ? 503 : 200);
});

app.post("/certify/sweep", async (req, res) => {
  try {
    for (const payment of await gateway.recent()) settle(payment);
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    return res.sendStatus(503);
  }
  return res.sendStatus(200);
});

/** How the order of this payment stands, after asking; `unknown` when nobody could be asked. */
async function finish(impUid) {
  try {
    const payment = await gateway.payment(impUid);
    return payment ? settle(payment) : "forgery";
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    return "unknown";
  }
}

/** Bring the order up to date; whoever comes second finds it done. */
function settle(payment) {
  return books.transaction(() => {
    const order = books.order(payment.merchant_uid);
    if (!order) return "no order of ours";
    if (payment.amount !== order.amount || payment.currency !== order.currency) return "forgery";
    if (order.imp_uid && order.imp_uid !== payment.imp_uid) return "paid by another payment";
    return step(order, payment);
  });
}

function step(order, payment) {
  const { imp_uid: impUid, merchant_uid: number } = payment;
  const left = payment.amount - payment.cancel_amount;
  if (payment.cancel_amount) {
    // What went back before any goods left ends the order; a part of a paid one does not.
    books.write(
      "UPDATE orders SET imp_uid = ?, paid_amount = min(paid_amount, ?), status =" +
        " CASE WHEN status = 'paid' AND ? > 0 THEN 'paid' ELSE 'cancelled' END" +
        " WHERE merchant_uid = ?",
      ...[impUid, left, left, number],
    );
    return "cancelled";
  }
  if (payment.status === "paid") {
    const won = books.write(
      "UPDATE orders SET status = 'paid', imp_uid = ?, paid_amount = ?" +
        " WHERE merchant_uid = ? AND status IN ('placed', 'waiting')",
      ...[impUid, left, number],
    );
    if (won) books.write("INSERT INTO parcels (merchant_uid) VALUES (?)", number);
    return order.status === "cancelled" ? "cancelled" : "paid";
  }
  if (payment.status === "ready" && payment.vbank_num) {
    books.write(
      "UPDATE orders SET status = 'waiting', account = ?" +
        " WHERE merchant_uid = ? AND status IN ('placed', 'waiting')",
      ...[`${payment.vbank_name} ${payment.vbank_num}`, number],
    );
    return "waiting";
  }
  return payment.status === "ready" ? "open" : "failed";
}

serve(app);
