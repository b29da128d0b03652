/** The buyer's side of the mall: product orders, and what may be done with each right now. */

import { h } from "../window/elements.js";
import { both, keepReading, money, post } from "./site.js";

const EVERY_MS = 2_000;
const context = JSON.parse(document.getElementById("context").textContent);
const list = document.getElementById("product-orders");
const cards = new Map();

const STATUSES = {
  PAYED: ["", "결제 완료", "Paid"],
  DELIVERING: ["caution", "배송 중", "On its way"],
  DELIVERED: ["good", "배송 완료", "Delivered"],
  PURCHASE_DECIDED: ["good", "구매 확정", "Kept"],
  EXCHANGED: ["good", "교환 완료", "Exchanged"],
  CANCELED: ["bad", "취소 완료", "Cancelled"],
  RETURNED: ["bad", "반품 완료", "Sent back"],
};
const CLAIMS = {
  CANCEL_REQUEST: ["취소 요청", "Cancel asked for"],
  CANCEL_DONE: ["취소 처리 완료", "Cancel done"],
  CANCEL_REJECT: ["취소 철회", "Cancel withdrawn"],
  RETURN_REQUEST: ["반품 요청", "Return asked for"],
  COLLECTING: ["수거 중", "Being collected"],
  COLLECT_DONE: ["수거 완료", "Collected"],
  RETURN_DONE: ["반품 완료", "Return done"],
  RETURN_REJECT: ["반품 거부·철회", "Return refused or withdrawn"],
  EXCHANGE_REQUEST: ["교환 요청", "Exchange asked for"],
  EXCHANGE_REDELIVERING: ["교환 재배송 중", "New goods on their way"],
  EXCHANGE_DONE: ["교환 완료", "Exchange done"],
  EXCHANGE_REJECT: ["교환 거부·철회", "Exchange refused or withdrawn"],
  ADMIN_CANCEL_DONE: ["직권 취소", "Cancelled as a whole"],
};
const ACTS = {
  ask_cancel: ["취소 요청", "Ask to cancel"],
  ask_return: ["반품 요청", "Ask to send back"],
  ask_exchange: ["교환 요청", "Ask to exchange"],
  withdraw_cancel: ["취소 요청 철회", "Withdraw the cancel"],
  withdraw_return: ["반품 요청 철회", "Withdraw the return"],
  withdraw_exchange: ["교환 요청 철회", "Withdraw the exchange"],
  receive: ["물건 받음", "Received"],
  receive_exchanged: ["교환한 물건 받음", "Received the new goods"],
  decide: ["구매 확정", "Keep it"],
};
const REVIEWS = { general: ["구매평", "Review"], premium: ["프리미엄 구매평", "Premium review"] };

class Goods {
  constructor(goods) {
    this.path = `/mall/product-orders/${goods.id}`;
    this.state = h("span");
    this.facts = h("dl", { class: "facts" });
    this.trouble = h("p", { class: "note-box bad", role: "alert", hidden: true });
    this.actions = h("div", { class: "shortcuts" });
    this.reviews = h("div", { class: "site-list" });
    const title = `goods-${goods.id}`;
    this.node = h(
      "section",
      { class: "panel", "aria-labelledby": title, "data-product-order": goods.id },
      h("header", {}, h("h2", { id: title }, goods.product_name), this.state),
      this.facts,
      this.trouble,
      this.actions,
      this.reviews,
    );
    this.update(goods);
  }

  async #send(path, body) {
    const buttons = [...this.node.querySelectorAll("button")];
    if (buttons.some((button) => button.disabled)) return;
    buttons.forEach((button) => (button.disabled = true));
    const answer = await post(path, body);
    buttons.forEach((button) => (button.disabled = false));
    this.trouble.hidden = Boolean(answer.ok);
    this.trouble.textContent = answer.ok ? "" : `${answer.message} [${answer.code}]`;
    await refresh();
  }

  #review(kind) {
    const [ko, en] = REVIEWS[kind];
    const title = h("input", { class: "input", id: `${this.path}-${kind}`, maxlength: 60, required: true });
    const score = h("input", {
      class: "input",
      id: `${this.path}-${kind}-score`,
      type: "number",
      min: 0,
      max: kind === "general" ? 2 : 3,
      value: kind === "general" ? 2 : 3,
    });
    const form = h(
      "form",
      { class: "search", "data-review": kind },
      h("div", { class: "field" }, h("label", { for: title.id }, both(`${ko} 제목`, `${en}: title`)), title),
      h("div", { class: "field" }, h("label", { for: score.id }, both("점수", "Score")), score),
      h("button", { class: "button quiet", type: "submit" }, both(`${ko} 쓰기`, `Write`)),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(`${this.path}/reviews`, { kind, score: Number(score.value), title: title.value });
    });
    return form;
  }

  update(goods) {
    const seen = JSON.stringify(goods);
    if (seen === this.seen) return;
    this.seen = seen;
    const [tone, ko, en] = STATUSES[goods.status] ?? ["", goods.status, goods.status];
    const claim = CLAIMS[goods.claim_status];
    this.state.replaceChildren(
      h("span", { class: `tag ${tone}`, "data-status": goods.status }, both(ko, en)),
      ...(claim ? [" ", h("span", { class: "tag caution", "data-claim": goods.claim_status }, both(...claim))] : []),
      ...(goods.withheld ? [" ", h("span", { class: "tag bad" }, both("반품 보류", "Withheld"))] : []),
    );
    const facts = [
      [["가맹점", "Merchant"], goods.merchant_name],
      [["상품주문번호", "Product order"], h("span", { class: "number" }, goods.id)],
      [["옵션", "Option"], goods.option_name || "–"],
      [["수량", "Quantity"], String(goods.quantity)],
      [["금액", "Amount"], h("strong", { class: "total" }, money(goods.amount, goods.currency))],
      [["발주", "Placed"], h("span", {}, both(...(goods.placed ? ["확인됨", "Yes"] : ["확인 전", "Not yet"])))],
    ];
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, both(...name)), h("dd", {}, value)]));
    this.actions.replaceChildren(
      ...goods.may.map((act) => {
        const button = h("button", { class: "button quiet", type: "button", "data-act": act }, both(...ACTS[act]));
        button.addEventListener("click", () => this.#send(this.path, { act }));
        return button;
      }),
    );
    this.reviews.replaceChildren(...goods.may_review.map((kind) => this.#review(kind)));
  }
}

const address = `/mall/state${context.order ? `?order=${encodeURIComponent(context.order)}` : ""}`;

async function refresh() {
  try {
    const answer = await fetch(address, { cache: "no-store" });
    if (answer.ok) show(await answer.json());
  } catch {
    // The next round says so.
  }
}

function show({ product_orders: orders }) {
  document.getElementById("nothing").hidden = orders.length > 0;
  for (const goods of orders) {
    const known = cards.get(goods.id);
    if (known) known.update(goods);
    else {
      const made = new Goods(goods);
      cards.set(goods.id, made);
      list.append(made.node);
    }
  }
}

show(context);
keepReading(address, EVERY_MS, show);
