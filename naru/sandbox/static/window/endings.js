/** What the buyer sees when there is nothing more to type. */

import { h, icon, refusalWords } from "./elements.js";

const DRAWN = {
  leaving: { tone: "", mark: null },
  arrived: { tone: "", mark: "done", back: true },
  cancelled: { tone: "", mark: "leave" },
  expired: { tone: "caution", mark: "clock", back: true },
  used: { tone: "caution", mark: "done", back: true },
  checking: { tone: "", mark: null },
};

/** @param {import("./page.js").Page} page @param {keyof DRAWN} name */
export function showEnding(page, name) {
  const { tone, mark, back } = DRAWN[name];
  document.getElementById("time").hidden = true;
  document.getElementById("warning").replaceChildren();
  const button = h(
    "button",
    { class: "button", type: "button", on: { click: () => goBack(page, button) } },
    page.say("back_to_merchant"),
  );
  page.show({
    name: `ending-${name}`,
    centred: true,
    title: page.say(`ending.${name}.title`),
    body: [
      h(
        "div",
        { class: `ending ${tone}` },
        mark ? icon(mark) : h("span", { class: "spinner", "aria-hidden": "true" }),
        h("p", {}, page.say(`ending.${name}.text`, { merchant: page.order.merchant_name })),
      ),
      back ? h("div", { class: "actions" }, button) : null,
    ].filter(Boolean),
  });
  page.announce(page.say(`ending.${name}.title`));
}

async function goBack(page, button) {
  button.disabled = true;
  button.classList.add("working");
  if (page.context.return_form) page.leave(page.context.return_form);
  else await page.goBack();
  button.disabled = false;
  button.classList.remove("working");
}

/** Refusals that typing again cannot change. */
const FINAL = new Set([
  "CARD_REFUSED",
  "CARD_EXPIRED",
  "CARD_LOST",
  "CARD_STOLEN",
  "CARD_LOCKED",
  "PIN_LOCKED",
  "ACCOUNT_LOCKED",
  "TOO_MANY_TRIES",
  "TOO_MANY_CODES",
  "CERTIFICATE_REVOKED",
  "DUE_PASSED",
  "WRONG_METHOD",
]);

/** Show a final refusal on a page of its own. @returns {object | null} any other refusal, to be shown where it arose */
export function showIfFinal(page, refusal, otherWay) {
  if (!refusal || !FINAL.has(refusal.code)) return refusal;
  showRefusal(page, refusal, { otherWay });
  return null;
}

/** A refusal that this card or account cannot get past: why, and the ways on. */
export function showRefusal(page, refusal, { otherWay }) {
  page.show({
    name: "refused",
    centred: true,
    title: page.say("refused.title"),
    body: [
      h(
        "div",
        { class: "ending bad" },
        icon("bad"),
        h("div", { class: "note-box bad" }, refusalWords(page, refusal)),
        h("p", {}, page.say("refused.text")),
      ),
      h(
        "div",
        { class: "actions" },
        h(
          "button",
          { class: "button quiet", type: "button", on: { click: () => page.goBack() } },
          page.say("back_to_merchant"),
        ),
        otherWay
          ? h("button", { class: "button", type: "button", on: { click: otherWay } }, page.say("other_way"))
          : null,
      ),
    ],
  });
}
