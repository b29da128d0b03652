// npm `iamporter` by posquit0: its whole surface, with only the base address changed.
"use strict";

const { Iamporter } = require("iamporter");
const { facts, call, refused, tell, order, now } = require("./tell.js");

const iamporter = new Iamporter({ host: facts.base });
const card = { card_number: facts.card.number, expiry: facts.card.expiry, birth: "900101", pwd_2digit: "12" };
const customer = `${facts.prefix}customer`;
const data = (wanted) => ({ data: wanted });

(async () => {
  await call("getToken", () => iamporter.getToken(), data({ access_token: (token) => token.length === 40 }));
  await refused("getToken", () => iamporter.getToken("nobody", "nothing"), "아임포트 API 인증에 실패하였습니다.");
  const announced = order();
  await call("createPreparedPayment", () => iamporter.createPreparedPayment({ merchant_uid: announced, amount: 128 }), data({ amount: 128 }));
  await call("getPreparedPayment", () => iamporter.getPreparedPayment(announced), data({ merchant_uid: announced }));
  await refused("createPreparedPayment", () => iamporter.createPreparedPayment({ merchant_uid: announced, amount: 128 }), "이미 등록된 merchant_uid입니다");

  const paid = { ...card, merchant_uid: order(), amount: 5000 };
  const { data: payment } = await call("payOnetime", () => iamporter.payOnetime(paid), data({ status: "paid" }));
  await call("payForeign", () => iamporter.payForeign({ merchant_uid: order(), amount: 400, card_number: card.card_number, expiry: card.expiry }), data({ status: "paid" }));
  await refused("payOnetime", () => iamporter.payOnetime({ ...paid, merchant_uid: order(), card_number: facts.card.wrong }), "카드정보 인증에 실패하였습니다.");
  await call("findByImpUid", () => iamporter.findByImpUid(payment.imp_uid), data({ imp_uid: payment.imp_uid }));
  // A miss is no error to this client.
  await call("findByImpUid", () => iamporter.findByImpUid("imp_000000000000"), { status: 404, message: "존재하지 않는 결제정보입니다." });
  await call("findByMerchantUid", () => iamporter.findByMerchantUid(paid.merchant_uid), data({ imp_uid: payment.imp_uid }));
  await call("findAllByMerchantUid", () => iamporter.findAllByMerchantUid(paid.merchant_uid), data({ total: 1 }));
  await call("findAllByMerchantUid", () => iamporter.findAllByMerchantUid(paid.merchant_uid, { status: "paid" }), data({ total: 1 }));
  await call("findAllByStatus", () => iamporter.findAllByStatus(), data({ list: Array.isArray }));
  await call("findAllByStatus", () => iamporter.findAllByStatus("cancelled", { page: 1 }), data({ list: Array.isArray }));
  await call("cancel", () => iamporter.cancel({ imp_uid: payment.imp_uid, amount: 1000, checksum: 5000 }), data({ cancel_amount: 1000 }));
  await call("cancelByImpUid", () => iamporter.cancelByImpUid(payment.imp_uid, { amount: 1500 }), data({ cancel_amount: 2500 }));
  await call("cancelByMerchantUid", () => iamporter.cancelByMerchantUid(paid.merchant_uid, {}), data({ status: "cancelled", cancel_amount: 5000 }));
  await refused("cancelByMerchantUid", () => iamporter.cancelByMerchantUid(paid.merchant_uid, {}), "이미 전액취소된 주문입니다.");

  const made = { ...card, customer_uid: customer };
  await call("createSubscription", () => iamporter.createSubscription(made), data({ customer_uid: customer }));
  await call("getSubscription", () => iamporter.getSubscription(customer), data({ customer_uid: customer }));
  await call("paySubscription", () => iamporter.paySubscription({ customer_uid: customer, merchant_uid: order(), amount: 100 }), data({ status: "paid" }));
  await call("deleteSubscription", () => iamporter.deleteSubscription(customer), data({ customer_uid: customer }));
  await refused("getSubscription", () => iamporter.getSubscription(customer), "등록된 정보를 찾을 수 없습니다.");

  await call("createVbank", () => iamporter.createVbank({ merchant_uid: order(), amount: 5000, vbank_code: "004", vbank_due: now() + 86400, vbank_holder: "나루" }), data({ status: "ready" }));
  const person = facts.certified.pop();
  await call("getCertification", () => iamporter.getCertification(person), data({ imp_uid: person }));
  await call("deleteCertification", () => iamporter.deleteCertification(person), data({ imp_uid: person }));
  await call("getCertification", () => iamporter.getCertification(person), { status: 404, message: "인증결과가 존재하지 않습니다." });
  const inner = new Set(["constructor", "isExpiredToken"]);
  tell({ surface: Object.getOwnPropertyNames(Iamporter.prototype).filter((name) => !name.startsWith("_") && !inner.has(name)) });
})();
