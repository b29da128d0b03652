/** Phone bill: carrier and number, then the code that came by SMS. */

import { buildForm, h, textField, tilesField } from "./elements.js";
import { showIfFinal } from "./endings.js";

const steps = (page) => [page.say("step.phone"), page.say("step.sms"), page.say("step.pay")];

/** Groups 010-1234-5678, and 011-123-4567 of older numbers. */
function groupPhone(text) {
  const digits = text.replace(/\D/g, "").slice(0, 11);
  if (digits.length < 4) return digits;
  if (digits.length < 8) return `${digits.slice(0, 3)}-${digits.slice(3)}`;
  const middle = digits.length === 11 ? 7 : 6;
  return `${digits.slice(0, 3)}-${digits.slice(3, middle)}-${digits.slice(middle)}`;
}

/** @param {import("./page.js").Page} page */
export function showPhone(page) {
  const carrier = tilesField({
    id: "carrier",
    legend: page.say("carrier"),
    value: page.carrier ?? (page.context.carriers.length === 1 ? page.context.carriers[0].code : undefined),
    missing: page.say("missing.carrier"),
    options: page.context.carriers.map(({ code, name }) => ({ value: code, name: page.sayOr(`carrier.${code}`, name) })),
  });
  const number = textField({
    id: "phone-number",
    label: page.say("phone_number"),
    shape: groupPhone,
    attributes: { type: "tel", inputmode: "numeric", autocomplete: "tel-national", value: page.phoneNumber ?? groupPhone(page.order.rules.phone ?? "") },
    check: (text) => (/^01[016789]\d{7,8}$/.test(text.replace(/\D/g, "")) ? null : page.say("wrong.phone_number")),
  });
  page.show({
    name: "phone",
    title: page.say("phone.title"),
    why: page.say("phone.why"),
    steps: steps(page),
    at: 0,
    body: [
      buildForm(page, {
        fields: [carrier, number],
        label: page.say("phone.send"),
        working: page.say("phone.sending"),
        send: async () => {
          page.carrier = carrier.chosen();
          page.phoneNumber = number.control.value;
          const answer = await requestCode(page);
          if (!answer.ok) return page.leaving ? null : showIfFinal(page, answer, null);
          showCode(page, answer.expires_at);
          return null;
        },
      }),
    ],
  });
}

function requestCode(page) {
  return page.ask("phone/code", { carrier: page.carrier, number: page.phoneNumber.replace(/\D/g, "") });
}

function showCode(page, expiresAt) {
  const left = h("span", { class: "badge", id: "code-left" });
  const code = textField({
    id: "sms-code",
    label: page.say("sms_code"),
    hint: page.say("sms_code.hint", { number: page.phoneNumber }),
    badge: left,
    shape: (text) => text.replace(/\D/g, "").slice(0, 6),
    attributes: { inputmode: "numeric", autocomplete: "one-time-code", maxlength: "6" },
    check: (text) => (/^\d{6}$/.test(text) ? null : page.say("wrong.sms_code")),
  });
  const tick = () => {
    const seconds = Math.max(0, Math.ceil(expiresAt - page.now()));
    left.textContent = seconds
      ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
      : page.say("sms_code.over");
  };
  const timer = setInterval(tick, 500);
  tick();

  const again = h("button", { class: "text-button", type: "button" }, page.say("phone.again"));
  again.addEventListener("click", async () => {
    if (page.busy) return;
    again.disabled = true;
    const answer = await requestCode(page);
    again.disabled = false;
    if (answer.ok) {
      expiresAt = answer.expires_at;
      tick();
      page.announce(page.say("phone.sent"));
      code.control.focus();
    } else if (!page.leaving) code.mark(page.sayOr(`code.${answer.code}`, answer.message));
  });
  const inbox = page.order.test
    ? h(
        "p",
        { class: "note-box" },
        h("span", {}, page.say("phone.inbox.text")),
        h("a", { href: page.context.inbox_url, target: "_blank", rel: "noopener", id: "inbox-link" }, page.say("phone.inbox")),
      )
    : null;

  page.show({
    name: "phone-code",
    title: page.say("phone_code.title"),
    why: page.say("phone_code.why"),
    steps: steps(page),
    at: 1,
    dispose: () => clearInterval(timer),
    body: [
      buildForm(page, {
        fields: [code],
        rest: [h("div", {}, again), inbox].filter(Boolean),
        label: page.payLabel(),
        actions: [
          h("button", { class: "button quiet", type: "button", on: { click: () => showPhone(page) } }, page.say("back")),
        ],
        send: async () => {
          const refusal = await page.submit("phone/answer", { code: code.control.value });
          if (refusal) code.control.value = "";
          return showIfFinal(page, refusal, null);
        },
      }),
    ],
  });
}
