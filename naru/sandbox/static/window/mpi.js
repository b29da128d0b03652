/** MPI: card number, expiry, CVC and the card company's online password (안심클릭). */

import { brandOf, checkDigitFits, expiryProblem, groupNumber, lengthFits, shapeExpiry } from "./card_numbers.js";
import { cardSteps } from "./choose_card.js";
import { buildForm, h, textField } from "./elements.js";
import { showIfFinal } from "./endings.js";

const digitsOf = (text) => text.replace(/\D/g, "");

/** @param {import("./page.js").Page} page */
export function showMpi(page, { company, card, back }) {
  const badge = h("span", { class: "badge", id: "card-brand", "aria-live": "polite" });
  const known = Object.values(page.context.demo_cards).flat();
  // A published test card may be expired or have a made-up check digit: its company is to refuse it, not we.
  const isPublished = (digits) => known.some((one) => one.number === digits);

  const number = textField({
    id: "card-number",
    label: page.say("card_number"),
    badge,
    shape: groupNumber,
    attributes: { inputmode: "numeric", autocomplete: "cc-number", maxlength: "23" },
    check: (text) => {
      const digits = digitsOf(text);
      if (!digits) return page.say("missing.card_number");
      if (!lengthFits(digits)) return page.say("wrong.card_number_length");
      return isPublished(digits) || checkDigitFits(digits) ? null : page.say("wrong.card_number");
    },
  });
  const expiry = textField({
    id: "card-expiry",
    label: page.say("expiry"),
    shape: shapeExpiry,
    attributes: { inputmode: "numeric", autocomplete: "cc-exp", placeholder: "MM / YY", maxlength: "9" },
    check: (text) => {
      const problem = expiryProblem(digitsOf(text), page.now());
      if (problem === "past" && isPublished(digitsOf(number.control.value))) return null;
      return problem ? page.say(`wrong.expiry_${problem}`) : null;
    },
  });
  const cvc = textField({
    id: "card-cvc",
    label: page.say("cvc"),
    hint: page.say("cvc.hint"),
    shape: (text) => digitsOf(text).slice(0, 4),
    attributes: { inputmode: "numeric", autocomplete: "cc-csc", maxlength: "4", type: "password" },
    check: (text) => (/^\d{3,4}$/.test(text) ? null : page.say("wrong.cvc")),
  });
  const password = textField({
    id: "card-password",
    label: page.say("safe_click_password"),
    hint: page.say("safe_click_password.hint"),
    attributes: { type: "password", autocomplete: "off", maxlength: "64" },
    check: (text) => (text ? null : page.say("missing.password")),
  });

  const tellBrand = () => {
    const digits = digitsOf(number.control.value);
    const issuer = known.find((one) => digits.length >= 6 && one.number.startsWith(digits.slice(0, 6)));
    const brand = brandOf(digits).name;
    badge.textContent = [issuer && page.sayOr(`company.${issuer.issuer_code}`, issuer.issuer_name), brand]
      .filter(Boolean)
      .join(" · ");
  };
  number.control.addEventListener("input", tellBrand);

  const fill = (one) => {
    number.control.value = groupNumber(one.number);
    expiry.control.value = shapeExpiry(one.expiry);
    cvc.control.value = one.cvc ?? "";
    password.control.value = one.password ?? "";
    tellBrand();
  };

  const form = buildForm(page, {
    fields: [number, expiry, cvc, password],
    label: page.payLabel(),
    actions: [h("button", { class: "button quiet", type: "button", on: { click: back } }, page.say("back"))],
    send: async () => {
      const refusal = await page.submit("mpi", {
        card_number: digitsOf(number.control.value),
        expiry: digitsOf(expiry.control.value),
        cvc: cvc.control.value,
        password: password.control.value,
        installment_months: page.installmentMonths,
      });
      if (!refusal) return null;
      cvc.control.value = "";
      password.control.value = "";
      return showIfFinal(page, refusal, back);
    },
  });
  number.node.after(h("div", { class: "pair" }, expiry.node, cvc.node));

  page.show({
    name: "mpi",
    title: page.say("mpi.title", { company: page.sayOr(`company.${company.code}`, company.name) }),
    why: page.say("mpi.why"),
    steps: cardSteps(page),
    at: 1,
    body: [form],
  });
  if (card) fill(card);
}
