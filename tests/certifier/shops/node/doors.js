// Reading what comes in, and serving: what every shop does before it thinks of money.

const crypto = require("node:crypto");
const express = require("express");

const IMP_UID = /^[A-Za-z0-9_-]{1,32}$/;
const CONTROL = /[\x00-\x1f\x7f]/;
const TOLERANCE_SECONDS = 300;

/** The body in its own bytes, for the signature. */
const raw = express.raw({ type: () => true, limit: "64kb" });

/** What a callback, a webhook or a redirect says; null for what none of them would say. */
function told(req) {
  let said = null;
  try {
    const text = Buffer.isBuffer(req.body) ? req.body.toString("utf8") : "";
    if (req.method === "GET") said = req.query;
    else if (text.trimStart().startsWith("{")) said = JSON.parse(text);
    else said = Object.fromEntries(new URLSearchParams(text));
  } catch {
    return null;
  }
  if (typeof said.imp_uid !== "string" || !IMP_UID.test(said.imp_uid)) return null;
  const number = said.merchant_uid;
  if (typeof number !== "string" || number.length > 200 || CONTROL.test(number)) return null;
  return number.isWellFormed() ? said : null;
}

/** Is this webhook signed by the gateway (Standard Webhooks), and not long ago? */
function isSigned(req) {
  const [id, time, given] = ["id", "timestamp", "signature"].map(
    (name) => req.get(`webhook-${name}`) || "",
  );
  if (!(Math.abs(Date.now() / 1000 - Number(time)) < TOLERANCE_SECONDS)) return false;
  const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
  const body = Buffer.isBuffer(req.body) ? req.body : Buffer.alloc(0);
  const expected = crypto.createHmac("sha256", key).update(`${id}.${time}.`).update(body).digest();
  return given.split(" ").some((each) => {
    const [version, text] = each.split(",", 2);
    const signature = Buffer.from(text || "", "base64");
    return (
      version === "v1" &&
      signature.length === expected.length &&
      crypto.timingSafeEqual(signature, expected)
    );
  });
}

/** Serve at PORT, until killed. */
function serve(app) {
  app.use((error, req, res, next) => {
    const status = error.status || 500;
    if (status >= 500) console.error(error);
    res.status(status).json({ status: "error" });
  });
  app.listen(Number(process.env.PORT), "127.0.0.1");
}

module.exports = { isSigned, raw, serve, told };
