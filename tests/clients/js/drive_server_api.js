// npm `iamport-server-api` by Jeongho Nam (samchon): what of it is V1, with only the host changed.
"use strict";

const { IamportConnector, functional } = require("iamport-server-api");
const { facts, call, refused, tell, order, now } = require("./tell.js");

const connector = new IamportConnector(facts.base, { imp_key: facts.key, imp_secret: facts.secret });
const card = { card_number: facts.card.number, expiry: facts.card.expiry, birth: "900101", pwd_2digit: "12" };
const customer_uid = `${facts.prefix}customer`;
const response = (wanted) => ({ code: 0, response: wanted });
const { payments, subscribe, vbanks, receipts, users, certifications } = functional;

/** Every function below a namespace, as `subscribe.customers.at`. */
function* names(space, path) {
  for (const [name, value] of Object.entries(space)) {
    const here = path ? `${path}.${name}` : name;
    if (typeof value === "function") yield here;
    else if (value && typeof value === "object" && name !== "default") yield* names(value, here);
  }
}

(async () => {
  await call("users.getToken", () => users.getToken({ host: facts.base }, { imp_key: facts.key, imp_secret: facts.secret }), response({ access_token: (token) => token.length === 40 }));
  const line = await connector.get();
  const paid = { ...card, merchant_uid: order(), amount: 5000, name: "나루 우산" };
  const { response: payment } = await call("subscribe.payments.onetime", () => subscribe.payments.onetime(line, paid), response({ status: "paid", card_name: "신한카드" }));
  await call("payments.at", () => payments.at(line, payment.imp_uid, {}), response({ imp_uid: payment.imp_uid }));
  await refused("payments.at", () => payments.at(line, "imp_000000000000", {}), "존재하지 않는 결제정보입니다.");
  await call("payments.cancel", () => payments.cancel(line, { imp_uid: payment.imp_uid, merchant_uid: paid.merchant_uid, amount: 1000, checksum: null, reason: "변심" }), response({ cancel_amount: 1000 }));
  await call("subscribe.customers.create", () => subscribe.customers.create(line, customer_uid, { ...card, customer_uid }), response({ customer_uid }));
  await call("subscribe.customers.at", () => subscribe.customers.at(line, customer_uid), response({ customer_uid }));
  await call("subscribe.payments.again", () => subscribe.payments.again(line, { customer_uid, merchant_uid: order(), amount: 100, name: "정기" }), response({ status: "paid" }));
  await call("subscribe.customers.erase", () => subscribe.customers.erase(line, customer_uid), response({ customer_uid }));
  const account = { merchant_uid: order(), amount: 5000, vbank_code: "004", vbank_due: now() + 86400, vbank_holder: "나루", name: "나루 우산", buyer_name: "나루" };
  await call("vbanks.create", () => vbanks.create(line, account), response({ status: "ready", vbank_num: (number) => !!number }));
  await call("receipts.create", () => receipts.create(line, facts.cash, { imp_uid: facts.cash, identifier: "01012345678", identifier_type: "phone", type: "person" }), response({ imp_uid: facts.cash }));
  await call("receipts.at", () => receipts.at(line, facts.cash), response({ imp_uid: facts.cash }));
  await call("receipts.erase", () => receipts.erase(line, facts.cash), response({ cancelled_at: (at) => at > 0 }));
  const who = { name: "김나루", phone: facts.phone, birth: "900101", gender_digit: "1", carrier: "SKT" };
  const { response: asked } = await call("certifications.otp.request", () => certifications.otp.request(line, who), response({ imp_uid: (uid) => !!uid }));
  const { messages } = await (await fetch(`${facts.sandbox}/inbox/messages`)).json();
  const [code] = messages[0].text.match(/\b\d{6}\b/);
  await call("certifications.otp.confirm", () => certifications.otp.confirm(line, asked.imp_uid, { otp: code }), response({ certified: true }));
  await call("certifications.at", () => certifications.at(line, asked.imp_uid), response({ certified: true }));
  await call("certifications.erase", () => certifications.erase(line, asked.imp_uid), response({ imp_uid: asked.imp_uid }));
  tell({ surface: [...names(functional, "")] });
})();
