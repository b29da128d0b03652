/** Opens the window: reads what the server says about the order and shows the step the buyer is at. */

import { showFirstCardStep } from "./choose_card.js";
import { markScenario, openDrawer } from "./developer.js";
import { h, icon } from "./elements.js";
import { showEnding } from "./endings.js";
import { Page } from "./page.js";
import { showPhone } from "./phone.js";
import { LANGUAGES, loadSpeech } from "./say.js";
import { startClock } from "./session_clock.js";
import { showTrans } from "./trans.js";
import { showVirtualAccount } from "./virtual_account.js";
import { showWallet } from "./wallet.js";

const FIRST_STEPS = {
  card: showFirstCardStep,
  trans: showTrans,
  phone: showPhone,
  vbank: showVirtualAccount,
  wallet: showWallet,
};

function showOrder(page) {
  const { order } = page;
  document.documentElement.lang = page.speech.language;
  for (const element of document.querySelectorAll("[data-say]")) {
    element.textContent = page.say(element.dataset.say);
  }
  const nothingIsTaken = order.keep_card && !order.amount;
  document.getElementById("amount").textContent = nothingIsTaken ? page.say("keep.free") : page.money();
  const cancel = document.getElementById("cancel");
  // A layer has a cross of its own, which also works while we do not.
  cancel.hidden = window.parent !== window;
  cancel.setAttribute("aria-label", page.say("cancel"));
  cancel.replaceChildren(icon("close"));
  const taxFree = document.getElementById("tax-free");
  taxFree.textContent = order.tax_free ? page.speech.money(order.tax_free, order.currency) : "";
  document.getElementById("tax-free-row").hidden = !order.tax_free;
  showParticulars(page);
  if (order.test) markScenario(page);
}

/** What the merchant asked to be shown: the period of a service, escrow, what is bought. */
function showParticulars(page) {
  const { rules, currency } = page.order;
  const tell = (id, text) => {
    document.getElementById(id).textContent = text ?? "";
    document.getElementById(`${id}-row`).hidden = !text;
  };
  tell("period", rules.period?.replace(/(\d{4})(\d{2})(\d{2})/g, "$1.$2.$3").replace("~", " ~ "));
  tell("keep", page.order.keep_card ? page.say("keep.why") : null);
  tell("escrow", rules.escrow ? page.say("escrow.yes") : null);
  const bypass = document.getElementById("bypass");
  bypass.hidden = !page.order.bypass;
  bypass.querySelector("pre").textContent = JSON.stringify(page.order.bypass, null, 1);
  const products = document.getElementById("products");
  products.hidden = !rules.products.length;
  products.querySelector("ul").replaceChildren(
    ...rules.products.map(({ name, quantity, unit_price: price }) =>
      h(
        "li",
        {},
        h("span", {}, quantity > 1 ? `${name} × ${quantity}` : name),
        price === null ? null : h("span", { class: "number" }, page.speech.price(price, currency)),
      ),
    ),
  );
  products.open = rules.products.length <= 3;
}

function languageChoice(page, change) {
  const select = document.getElementById("language");
  select.setAttribute("aria-label", page.say("language"));
  select.replaceChildren(
    ...Object.entries(LANGUAGES).map(([code, name]) =>
      h("option", { value: code, lang: code, selected: code === page.speech.language }, name),
    ),
  );
  select.onchange = () => change(select.value);
}

function whenPressed(id, act) {
  const button = document.getElementById(id);
  if (!button) return;
  button.addEventListener("click", act);
  button.disabled = false;
}

/** Show where the order stands; a finished one never shows a form again. */
function showWhereItStands(page) {
  const { state } = page.context;
  if (state === "open") FIRST_STEPS[page.order.method_kind](page);
  else {
    page.leaving = true;
    showEnding(page, state === "finished" ? "used" : "expired");
  }
}

async function open() {
  const context = JSON.parse(document.getElementById("context").textContent);
  const page = new Page(context, await loadSpeech(context.order.language));

  const speak = async (language) => {
    if (page.busy || page.leaving) return;
    page.speech = await loadSpeech(language);
    showOrder(page);
    languageChoice(page, speak);
    showWhereItStands(page);
  };
  showOrder(page);
  languageChoice(page, speak);
  // A press before now would have been lost. The developer's button is on the ribbon of a test order only.
  whenPressed("cancel", () => page.askToCancel());
  whenPressed("developer", () => {
    if (!page.leaving) openDrawer(page);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      event.preventDefault();
      page.askToCancel();
    }
  });
  showWhereItStands(page);
  startClock(page, document.getElementById("time-left"));
  // Back out of the browser's page cache shows an old picture: ask the server again.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

open();
