/** Virtual account: which bank, whose name, until when, and the cash receipt. */

import { buildForm, h, selectField, textField, tilesField } from "./elements.js";
import { showIfFinal } from "./endings.js";
import { bankOptions } from "./trans.js";

const digitsOf = (text) => text.replace(/\D/g, "");

/** @param {import("./page.js").Page} page */
export function showVirtualAccount(page) {
  const bank = selectField({
    id: "bank",
    label: page.say("vbank.bank"),
    value: "",
    options: bankOptions(page),
    check: (code) => (code ? null : page.say("missing.bank")),
  });
  const holder = textField({
    id: "holder",
    label: page.say("vbank.holder"),
    hint: page.say("vbank.holder.hint"),
    attributes: { autocomplete: "name", maxlength: "30" },
    check: (text) => (text.trim() ? null : page.say("missing.holder")),
  });
  const identifier = textField({
    id: "receipt-identifier",
    label: page.say("receipt.personal.number"),
    shape: (text) => text.replace(/[^\d-]/g, "").slice(0, 20),
    attributes: { inputmode: "numeric", autocomplete: "off" },
    check: (text) => {
      const wanted = receipt.chosen() === "business" ? /^\d{10}$/ : /^\d{10,18}$/;
      return wanted.test(digitsOf(text)) ? null : page.say(`wrong.receipt_${receipt.chosen()}`);
    },
  });
  identifier.node.hidden = true;
  const receipt = tilesField({
    id: "receipt",
    legend: page.say("receipt"),
    value: "none",
    missing: "",
    onChange: (kind) => {
      identifier.node.hidden = kind === "none";
      if (kind === "none") return;
      identifier.node.querySelector("label").textContent = page.say(`receipt.${kind}.number`);
    },
    options: ["none", "personal", "business"].map((kind) => ({ value: kind, name: page.say(`receipt.${kind}`) })),
  });
  const due = page.order.vbank_due;
  const korean = page.order.currency === "KRW";
  const form = buildForm(page, {
    fields: korean ? [bank, holder, receipt, identifier] : [bank, holder],
    rest: [
      due
        ? h("dl", { class: "facts" }, h("dt", {}, page.say("vbank.due")), h("dd", { id: "vbank-due" }, page.speech.moment(due)))
        : null,
      h("p", { class: "note-box" }, page.say("vbank.note")),
    ],
    label: page.say("vbank.issue"),
    working: page.say("vbank.issuing"),
    send: async () => {
      const kind = korean ? receipt.chosen() : "none";
      const refusal = await page.submit("vbank", {
        bank_code: bank.control.value,
        holder: holder.control.value.trim(),
        cash_receipt: kind === "none" ? null : { type: kind, identifier: digitsOf(identifier.control.value) },
      });
      return showIfFinal(page, refusal, null);
    },
  });
  // Side by side, so that nothing of an account lies below the end of a layer.
  const pair = h("div", { class: "pair" });
  bank.node.before(pair);
  pair.append(bank.node, holder.node);
  page.show({
    name: "vbank",
    title: page.say("vbank.title"),
    why: page.say("vbank.why"),
    steps: [page.say("step.issue"), page.say("step.deposit")],
    at: 0,
    body: [form],
  });
}
