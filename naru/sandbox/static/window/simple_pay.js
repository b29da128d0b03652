/** Simple pay: a card registered beforehand and six digits on a shuffled keypad. Only places of keys are sent. */

import { cardSteps } from "./choose_card.js";
import { h, refusalWords, tilesField } from "./elements.js";
import { showIfFinal, showRefusal } from "./endings.js";

const PIN_LENGTH = 6;

/** @param {import("./page.js").Page} page */
export async function showSimplePay(page, { company, card, back }) {
  const answer = await page.ask("simple/cards", {});
  if (!answer.ok) {
    if (!page.leaving) showRefusal(page, answer, { otherWay: back });
    return;
  }
  const cards = answer.cards.filter((one) => one.issuer_code === company.code);
  if (cards.length === 0) {
    showRefusal(page, { code: "NO_REGISTERED_CARD" }, { otherWay: back });
    return;
  }

  let chosen = cards.find((one) => one.id === card?.id) ?? cards[0];
  let session = null;
  let places = [];

  const trouble = h("div", { class: "note-box bad", role: "alert", hidden: true });
  const dots = h("div", { class: "dots", "aria-hidden": "true" }, Array.from({ length: PIN_LENGTH }, () => h("span")));
  const keypad = h("div", { class: "keypad", role: "group", "aria-label": page.say("pin.keypad") });
  const picker = tilesField({
    id: "registered-card",
    legend: page.say("registered_card"),
    wide: true,
    value: chosen.id,
    missing: "",
    options: cards.map((one) => ({
      value: one.id,
      name: page.sayOr(`company.${one.issuer_code}`, one.issuer_name),
      note: one.masked,
    })),
    onChange: (id) => {
      chosen = cards.find((one) => one.id === id);
      tell(null);
      newKeypad();
    },
  });

  const tell = (refusal) => {
    trouble.replaceChildren(...(refusal ? refusalWords(page, refusal) : []));
    trouble.hidden = !refusal;
  };
  const drawDots = () => {
    [...dots.children].forEach((dot, place) => dot.classList.toggle("full", place < places.length));
    page.announce(page.say("pin.count", { count: places.length, all: PIN_LENGTH }));
  };
  const lockKeys = (locked) => keypad.querySelectorAll("button").forEach((key) => (key.disabled = locked));

  async function newKeypad({ focus = false } = {}) {
    session = null;
    places = [];
    lockKeys(true);
    const wanted = chosen.id;
    const made = await page.ask("simple/keypad", { card_id: wanted });
    // Another request is on its way; when it ends, it sees which card is wanted now.
    if (page.leaving || made.code === "BUSY" || !keypad.isConnected) return;
    if (wanted !== chosen.id) {
      await newKeypad({ focus });
      return;
    }
    if (!made.ok) {
      if (made.code === "NETWORK_LOST") {
        tell(made);
        return;
      }
      showRefusal(page, made, { otherWay: back });
      return;
    }
    session = made;
    drawKeys();
    drawDots();
    // On a small screen all the keys matter more than the heading.
    keypad.scrollIntoView({ block: "nearest" });
    if (focus) keypad.querySelector("button").focus({ preventScroll: true });
  }

  function drawKeys() {
    const key = (place) =>
      h(
        "button",
        { type: "button", "data-place": place, on: { click: () => press(place) } },
        String(session.layout[place]),
      );
    const word = (label, act) =>
      h("button", { type: "button", class: "word", "data-act": label, on: { click: act } }, page.say(label));
    keypad.replaceChildren(
      ...Array.from({ length: 9 }, (_, place) => key(place)),
      word("pin.clear", clear),
      key(9),
      word("pin.delete", erase),
    );
  }

  function press(place) {
    if (!session || page.busy || places.length >= PIN_LENGTH) return;
    places.push(place);
    tell(null);
    drawDots();
    if (places.length === PIN_LENGTH) send();
  }

  function erase() {
    if (page.busy) return;
    places.pop();
    drawDots();
  }

  function clear() {
    if (page.busy) return;
    places = [];
    drawDots();
  }

  async function send() {
    lockKeys(true);
    page.announce(page.say("checking"));
    status.textContent = page.say("checking");
    const refusal = await page.submit("simple/pin", {
      session: session.session,
      positions: places,
      installment_months: page.installmentMonths,
    });
    status.textContent = page.say("pin.hint");
    if (!refusal) return;
    if (!showIfFinal(page, refusal, back)) return;
    dots.classList.add("wrong");
    dots.addEventListener("animationend", () => dots.classList.remove("wrong"), { once: true });
    await newKeypad({ focus: true });
    tell(refusal);
    keypad.scrollIntoView({ block: "nearest" });
  }

  // Digits on a keyboard are turned into places of keys at once; the PIN itself is kept nowhere.
  const onKey = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (/^\d$/.test(event.key) && session) press(session.layout.map(Number).indexOf(Number(event.key)));
    else if (event.key === "Backspace") erase();
    else return;
    event.preventDefault();
  };
  document.addEventListener("keydown", onKey);

  const status = h("p", { class: "small-print", id: "pin-status" }, page.say("pin.hint"));
  page.show({
    name: "simple-pay",
    title: page.say("simple.title"),
    why: page.say("simple.why"),
    steps: cardSteps(page),
    at: 1,
    dispose: () => document.removeEventListener("keydown", onKey),
    body: [
      cards.length > 1
        ? picker.node
        : h(
            "p",
            { class: "one-card" },
            h("strong", {}, page.sayOr(`company.${chosen.issuer_code}`, chosen.issuer_name)),
            h("span", { class: "number small-print" }, chosen.masked),
          ),
      trouble,
      h("div", {}, dots, keypad),
      h("div", { class: "row" }, h("button", { class: "button quiet", type: "button", on: { click: back } }, page.say("back")), status),
    ],
  });
  await newKeypad();
}
