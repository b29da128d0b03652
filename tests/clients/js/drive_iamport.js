// npm `iamport` by Seungjae Lee: its whole surface, with only the base address changed.
"use strict";

const Iamport = require("iamport");
const { facts, call, refused, tell, order, now } = require("./tell.js");

Iamport.DEFAULT_HOST = facts.base;
// The public demo pair is the client's own default.
const iamport = new Iamport();
const card = { card_number: facts.card.number, expiry: facts.card.expiry, birth: "900101", pwd_2digit: "12" };
const customer = `${facts.prefix}customer`;

(async () => {
  const announced = order();
  await call("payment.prepare", () => iamport.payment.prepare({ merchant_uid: announced, amount: 1000 }), { amount: 1000 });
  await call("payment.getPrepare", () => iamport.payment.getPrepare({ merchant_uid: announced }), { merchant_uid: announced });
  await refused("payment.getPrepare", () => iamport.payment.getPrepare({ merchant_uid: order() }), "404");

  const paid = { ...card, merchant_uid: order(), amount: 1004, name: "나루 우산" };
  const payment = await call("subscribe.onetime", () => iamport.subscribe.onetime(paid), { status: "paid", amount: 1004, channel: "api" });
  const { imp_uid } = payment;
  await call("payment.getByImpUid", () => iamport.payment.getByImpUid({ imp_uid }), { imp_uid, status: "paid" });
  await refused("payment.getByImpUid", () => iamport.payment.getByImpUid({ imp_uid: "imp_000000000000" }), "404");
  await call("payment.getByMerchant", () => iamport.payment.getByMerchant({ merchant_uid: paid.merchant_uid }), { imp_uid });
  await call("payment.getByStatus", () => iamport.payment.getByStatus({ payment_status: "paid" }), { list: (all) => all.some((each) => each.imp_uid === imp_uid) });
  await call("payment.cancel", () => iamport.payment.cancel({ imp_uid, reason: "변심" }), { status: "cancelled", cancel_amount: 1004 });
  await refused("payment.cancel", () => iamport.payment.cancel({ imp_uid }), "이미 전액취소된 주문입니다.");
  await refused("subscribe.onetime", () => iamport.subscribe.onetime({ ...paid, card_number: facts.card.wrong, merchant_uid: order() }), "카드정보 인증에 실패하였습니다.");

  const made = { ...card, customer_uid: customer };
  await call("subscribe_customer.create", () => iamport.subscribe_customer.create(made), { customer_uid: customer });
  await call("subscribe_customer.createCustomers", () => iamport.subscribe_customer.createCustomers(made), { customer_uid: customer });
  await call("subscribe_customer.get", () => iamport.subscribe_customer.get({ customer_uid: customer }), { customer_uid: customer });
  await call("subscribe_customer.getCustomers", () => iamport.subscribe_customer.getCustomers({ customer_uid: customer }), { customer_uid: customer });
  await call("subscribe.again", () => iamport.subscribe.again({ customer_uid: customer, merchant_uid: order(), amount: 2000, name: "정기" }), { status: "paid", customer_uid: customer });
  const later = order();
  await call("subscribe.schedule", () => iamport.subscribe.schedule({ customer_uid: customer, schedules: [{ merchant_uid: later, schedule_at: now() + 3600, amount: 3000 }] }), { 0: { merchant_uid: later, schedule_status: "scheduled" } });
  await call("subscribe.unschedule", () => iamport.subscribe.unschedule({ customer_uid: customer }), { 0: { merchant_uid: later, schedule_status: "revoked" } });
  await call("subscribe_customer.delete", () => iamport.subscribe_customer.delete({ customer_uid: customer }), { customer_uid: customer });
  await refused("subscribe_customer.deleteCustomers", () => iamport.subscribe_customer.deleteCustomers({ customer_uid: customer }), "등록된 정보를 찾을 수 없습니다.");

  await call("vbank.create", () => iamport.vbank.create({ merchant_uid: order(), amount: 5000, vbank_code: "004", vbank_due: now() + 86400, vbank_holder: "나루" }), { status: "ready", vbank_code: "004" });
  const person = facts.certified.pop();
  await call("certification.get", () => iamport.certification.get({ imp_uid: person }), { imp_uid: person, certified: true });
  await call("certification.delete", () => iamport.certification.delete({ imp_uid: person }), { imp_uid: person });
  await refused("certification.get", () => iamport.certification.get({ imp_uid: person }), "404");
  const surface = [];
  for (const resource of ["payment", "subscribe", "subscribe_customer", "certification", "vbank"]) {
    for (const verb of Object.keys(Object.getPrototypeOf(iamport[resource]))) {
      if (typeof iamport[resource][verb] === "function" && !verb.startsWith("_") && verb !== "constructor") {
        surface.push(`${resource}.${verb}`);
      }
    }
  }
  tell({ surface });
})();
