/** The till of a convenience store: barcodes that wait, and the two ways to pay one. */

import { h } from "../window/elements.js";
import { both, keepReading, money, moment, post } from "./site.js";

const EVERY_MS = 2_000;
// The merchant may be asked before the money is taken, and has ten seconds.
const ASKING_MS = 20_000;
const context = JSON.parse(document.getElementById("context").textContent);
const list = document.getElementById("barcodes");
const slips = new Map();

const STATES = {
  waiting_deposit: ["caution", "수납 대기", "Waiting"],
  deposited: ["good", "수납 완료", "Paid"],
  cancelled: ["bad", "취소됨", "Cancelled"],
  closed: ["bad", "말소됨", "Revoked"],
  undone: ["bad", "망취소됨", "Undone"],
};
const PAY_TYPES = { cash: ["현금", "Cash"], card: ["카드", "Card"] };

class Slip {
  constructor(slip) {
    this.barcode = slip.barcode;
    this.state = h("span");
    this.facts = h("dl", { class: "facts" });
    this.trouble = h("p", { class: "note-box bad", role: "alert", hidden: true });
    this.buttons = Object.entries(PAY_TYPES).map(([payType, [ko, en]]) => {
      const quiet = payType === "card" ? " quiet" : "";
      const words = both(`${ko}으로 받기`.replace("카드으로", "카드로"), `Take ${en.toLowerCase()}`);
      const button = h("button", { class: `button${quiet}`, type: "button", "data-pay": payType }, words);
      button.addEventListener("click", () => this.#pay(payType));
      return button;
    });
    this.actions = h("div", { class: "shortcuts" }, ...this.buttons);
    this.title = `barcode-${slip.barcode}`;
    this.node = h(
      "section",
      { class: "panel", "aria-labelledby": this.title, "data-barcode": slip.barcode },
      h("header", {}, h("h2", { id: this.title }, h("span", { class: "account-number number" }, slip.barcode)), this.state),
      this.facts,
      this.trouble,
      this.actions,
    );
    this.update(slip);
  }

  async #pay(payType) {
    if (this.buttons.some((button) => button.disabled)) return;
    this.buttons.forEach((button) => (button.disabled = true));
    const answer = await post("/till/payments", { barcode: this.barcode, pay_type: payType }, ASKING_MS);
    this.buttons.forEach((button) => (button.disabled = false));
    this.trouble.hidden = Boolean(answer.ok);
    this.trouble.textContent = answer.ok ? "" : `${answer.message} [${answer.code}]`;
    if (answer.ok) this.update(answer.barcode);
  }

  update(slip) {
    const seen = JSON.stringify(slip);
    if (seen === this.seen) return;
    this.seen = seen;
    const [tone, ko, en] = STATES[slip.state] ?? ["", slip.state, slip.state];
    const waiting = slip.state === "waiting_deposit";
    this.state.replaceChildren(
      h("span", { class: `tag ${tone}`, "data-state": slip.state }, both(ko, en)),
      ...(waiting && slip.overdue ? [" ", h("span", { class: "tag bad" }, both("기한 지남", "Overdue"))] : []),
    );
    this.actions.hidden = !waiting;
    const facts = [
      [["가맹점", "Merchant"], slip.merchant_name],
      [["상품", "Item"], slip.item_name],
      [["받을 금액", "Amount"], h("strong", { class: "total" }, money(slip.amount, slip.currency))],
      [["수납 기한", "Due"], moment(slip.due)],
      [["수납 전 확인", "Asks first"], h("span", {}, both(...(slip.asks ? ["가맹점에 물어봄", "The merchant is asked"] : ["없음", "No"])))],
    ];
    if (slip.paid_at) {
      facts.push([["받은 방법", "Taken as"], h("span", {}, both(...PAY_TYPES[slip.pay_type]), " · ", moment(slip.paid_at))]);
    }
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, both(...name)), h("dd", {}, value)]));
  }
}

function show({ barcodes }) {
  document.getElementById("nothing").hidden = barcodes.length > 0;
  for (const slip of [...barcodes].reverse()) {
    const known = slips.get(slip.barcode);
    if (known) known.update(slip);
    else {
      const made = new Slip(slip);
      slips.set(slip.barcode, made);
      list.prepend(made.node);
    }
  }
}

show(context);
keepReading(`/till/state${context.barcode ? `?barcode=${encodeURIComponent(context.barcode)}` : ""}`, EVERY_MS, show);
