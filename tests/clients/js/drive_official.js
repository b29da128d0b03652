// npm `iamport-rest-client-nodejs`, i'mport's own: its whole surface, with only `baseUrl` changed.
"use strict";

const { Iamport, Request, Enum } = require("iamport-rest-client-nodejs");
const { facts, call, refused, tell, order, now } = require("./tell.js");

const iamport = new Iamport({ apiKey: facts.key, apiSecret: facts.secret, baseUrl: facts.base });
const card = { card_number: facts.card.number, expiry: facts.card.expiry, birth: "900101", pwd_2digit: "12" };
const customer = `${facts.prefix}customer`;

const ask = (made) => async () => (await made.request(iamport)).data.response;
/** `Payments.getByImpUid` -> the call of that name, with what it must answer. */
const did = (name, given, wanted) => call(name, ask(made(name, given)), wanted);
const no = (name, given, words) => refused(name, ask(made(name, given)), words);
const list = (all) => Array.isArray(all) || Array.isArray(all.list);

function made(name, given) {
  const [group, verb] = name.split(".");
  return Request[group][verb](given);
}

async function payments() {
  const announced = order();
  await did("Prepare.postAmount", { merchant_uid: announced, amount: 1000 }, ({ amount: 1000 }));
  await did("Prepare.getAmount", { merchant_uid: announced }, ({ merchant_uid: announced }));
  await no("Prepare.getAmount", { merchant_uid: order() }, "사전등록된 결제정보가 존재하지 않습니다.");

  const merchant_uid = order();
  const paid = await did("Subscribe.onetime", { ...card, merchant_uid, amount: 5000, name: "나루 우산" }, ({ status: "paid" }));
  const { imp_uid } = paid;
  await no("Subscribe.onetime", { ...card, merchant_uid: order(), amount: 10, card_number: facts.card.wrong }, "카드정보 인증에 실패하였습니다.");
  await did("Payments.getByImpUid", { imp_uid }, ({ imp_uid }));
  await did("Payments.getByMerchantUid", { merchant_uid, status: Enum.StatusEnum.PAID }, ({ imp_uid }));
  await did("Payments.getByMerchantUids", { merchant_uid, status: Enum.StatusEnum.PAID }, list);
  await did("Payments.getByStatus", { status: Enum.StatusEnum.PAID }, list);
  await did("Payments.getByImpUids", { imp_uid: [imp_uid] }, list);
  await did("Payments.cancel", { imp_uid, amount: 1000, checksum: 5000 }, ({ cancel_amount: 1000 }));
  await no("Payments.getAmountByImpUid", { imp_uid }, "");
  await did("Payments.getAmountByImpUid", { imp_uid: facts.payco }, ({ amount: (n) => n > 0 }));

  const account = await did("Vbanks.post", { merchant_uid: order(), amount: 5000, vbank_code: "004", vbank_due: now() + 86400, vbank_holder: "나루" }, ({ status: "ready" }));
  await no("Vbanks.put", { imp_uid: account.imp_uid, amount: 6000 }, "");
  await did("Vbanks.delete", { imp_uid: account.imp_uid }, ({ status: "failed" }));
  await did("Vbanks.getHolder", { bank_code: "004", bank_num: "110123456789" }, ({ bank_holder: (name) => !!name }));
}

async function cards() {
  await did("Customers.postBillingKey", { ...card, customer_uid: customer }, ({ customer_uid: customer }));
  await did("Customers.getBillingKey", { customer_uid: customer }, ({ customer_uid: customer }));
  await did("Customers.getBillingKeys", { customer_uid: [customer] }, list);
  await did("Subscribe.again", { customer_uid: customer, merchant_uid: order(), amount: 2000, name: "정기" }, ({ status: "paid" }));
  await did("Customers.getPayments", { customer_uid: customer }, list);
  const later = order();
  const when = now() + 3600;
  await did("Subscribe.schedule", { customer_uid: customer, schedules: [{ merchant_uid: later, schedule_at: when, amount: 3000 }] }, list);
  await did("Subscribe.getScheduled", { merchant_uid: later }, ({ schedule_status: "scheduled" }));
  await did("Subscribe.getScheduleds", { customer_uid: customer, page: 1, from: when - 60, to: when + 60 }, list);
  await did("Customers.getScheduleds", { customer_uid: customer, page: 1, from: when - 60, to: when + 60 }, list);
  await did("Subscribe.unschedule", { customer_uid: customer, merchant_uid: [later] }, list);
  await did("Customers.deleteBillingKey", { customer_uid: customer }, ({ customer_uid: customer }));
  await no("Customers.getBillingKey", { customer_uid: customer }, "등록된 정보를 찾을 수 없습니다.");
}

async function papers() {
  const cash = facts.cash;
  await did("Receipts.postReceipt", { imp_uid: cash, identifier: "01012345678", identifier_type: "phone", type: "person" }, ({ imp_uid: cash }));
  await did("Receipts.getReceipt", { imp_uid: cash }, ({ imp_uid: cash }));
  await did("Receipts.deleteReceipt", { imp_uid: cash }, ({ cancelled_at: Boolean }));
  const outside = order();
  await did("External.postReceipt", { merchant_uid: outside, identifier: "01012345678", identifier_type: "phone", name: "현금", amount: 11000, channel_key: facts.channel_key }, ({ merchant_uid: outside }));
  await did("External.getReceipt", { merchant_uid: outside }, ({ amount: 11000 }));
  await did("External.deleteReceipt", { merchant_uid: outside }, ({ cancelled_at: Boolean }));
  const parcel = { imp_uid: facts.escrow, sender: { name: "나루", tel: "02", addr: "서울", postcode: "04524" }, receiver: { name: "홍길동", tel: "010", addr: "부산", postcode: "48058" }, logis: { company: Enum.LogisCodeEnum.CJGLS, invoice: "123", sent_at: now() } };
  await did("Escrows.postEscrow", parcel, ({ invoice: "123" }));
  await did("Escrows.putEscrow", { ...parcel, logis: { ...parcel.logis, invoice: "456" } }, ({ invoice: "456" }));
  const person = facts.certified.pop();
  await did("Certifications.getCertification", { imp_uid: person }, ({ certified: true }));
  await did("Certifications.deleteCertification", { imp_uid: person }, ({ imp_uid: person }));
  await did("Payco.postOrderStatus", { imp_uid: facts.payco, status: Enum.PaycoOrderStatusEnum.DELIVERY_START }, ({ status: "DELIVERY_START" }));
  await did("Kakao.getOrders", { payment_request_date: facts.today }, () => true);
}

async function naver() {
  const { imp_uid, product_order_id } = facts.naver;
  const one = { imp_uid, product_order_id: [product_order_id] };
  await did("NaverCo.getProductOrderIds", { imp_uid }, list);
  await did("NaverCo.getOrderDetail", { product_order_id }, ({ product_order_id }));
  await did("NaverCo.place", one, list);
  await did("NaverCo.ship", { ...one, delivery_method: "DELIVERY", dispatched_at: now(), delivery_company: "CJGLS", tracking_number: "123" }, list);
  await did("NaverCo.requestReturn", { ...one, delivery_method: "RETURN_INDIVIDUAL" }, list);
  await did("NaverCo.withholdReturn", { ...one, memo: "확인 중" }, list);
  await did("NaverCo.resolveReturn", one, list);
  await did("NaverCo.rejectReturn", { ...one, memo: "사용한 상품" }, list);
  const back = { imp_uid: facts.naver.third };
  await did("NaverCo.place", back, list);
  await did("NaverCo.ship", { ...back, delivery_method: "DIRECT_DELIVERY", dispatched_at: now() }, list);
  await did("NaverCo.requestReturn", { ...back, delivery_method: "RETURN_INDIVIDUAL" }, list);
  await did("NaverCo.approveReturn", back, (all) => all[0].claim_status === "RETURN_DONE");
  const again = { imp_uid: facts.naver.exchanged, delivery_method: "DELIVERY", dispatched_at: now(), delivery_company: "CJGLS", tracking_number: "9" };
  await did("NaverCo.shipExchanged", again, list);
  await did("NaverCo.getReviews", { from: now() - 86400, to: now(), review_type: "general" }, list);
  await did("NaverCo.cancel", { imp_uid: facts.naver.second }, list);
  await did("NaverPay.getCashAmount", { imp_uid: facts.naverpay }, ({ amount_total: (n) => n >= 0 }));
  // This release cannot read any answer of these two; the gateway has done them all the same.
  await no("NaverPay.postPoint", { imp_uid: facts.naverpay }, "setAttributes");
  await no("NaverPay.postEscrow", { imp_uid: facts.naverpay }, "setAttributes");
}

(async () => {
  await did("Authenticate.getToken", { imp_key: facts.key, imp_secret: facts.secret }, ({ access_token: (token) => token.length === 40 }));
  await did("Banks.getBanks", undefined, list);
  await did("Banks.getBank", { code: Enum.BankCodeEnum.SC }, ({ code: "023" }));
  await did("Cards.getCards", undefined, list);
  await did("Cards.getCard", { code: Enum.CardCodeEnum.BC }, ({ code: "361" }));
  for (const part of [payments, cards, papers, naver]) {
    try {
      await part();
    } catch (error) {
      tell({ call: part.name, fits: false, refused: String(error && error.stack) });
    }
  }
  const surface = [];
  for (const group of Object.keys(Request)) {
    for (const verb of Object.getOwnPropertyNames(Request[group])) {
      if (typeof Request[group][verb] === "function") surface.push(`${group}.${verb}`);
    }
  }
  tell({ surface });
})();
