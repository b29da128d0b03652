/** A wallet: the buyer is known there already and only confirms. Its own name, a neutral look. */

import { buildForm, h } from "./elements.js";
import { showIfFinal } from "./endings.js";

const NAMES = {
  kakaopay: "kakaopay",
  naverpay: "NAVER Pay",
  naverpay_card: "NAVER Pay",
  naverpay_point: "NAVER Pay",
  payco: "PAYCO",
  tosspay: "toss pay",
  tosspay_v2: "toss pay",
  tosspay_card: "toss pay",
  tosspay_money: "toss pay",
  toss_brandpay: "toss BrandPay",
  samsung: "Samsung Pay",
  samsungpay: "Samsung Pay",
  applepay: "Apple Pay",
  paypal: "PayPal",
  paypal_v2: "PayPal",
  lpay: "L.PAY",
  ssgpay: "SSGPAY",
  skpay: "SK pay",
  alipay: "Alipay",
  unionpay: "UnionPay",
  wechat: "WeChat Pay",
};

/** Methods that say nothing about the wallet: then the PG's own name tells whose window it is. */
const SILENT = new Set(["card", "point", "wallet"]);

/** @param {import("./page.js").Page} page */
export function showWallet(page) {
  const word = SILENT.has(page.order.pay_method) ? page.order.profile : page.order.pay_method;
  const wallet = page.sayOr(`wallet.name.${word}`, NAMES[word] ?? word);
  page.show({
    name: "wallet",
    title: page.say("wallet.title", { wallet }),
    why: page.say("wallet.why", { wallet }),
    steps: [page.say("step.confirm"), page.say("step.pay")],
    at: 0,
    body: [
      buildForm(page, {
        fields: [],
        rest: [
          h(
            "div",
            { class: "wallet" },
            h("span", { class: "name" }, wallet),
            h("span", { class: "amount" }, page.money()),
            h("span", { class: "small-print" }, page.order.item_name),
          ),
          h("p", { class: "small-print" }, page.say("wallet.note", { wallet, merchant: page.order.merchant_name })),
        ],
        label: page.payLabel("wallet.pay"),
        send: async () => showIfFinal(page, await page.submit("wallet", {}), null),
      }),
    ],
  });
}
