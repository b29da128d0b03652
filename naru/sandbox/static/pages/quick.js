/** Quick pay: joining a shop, and the PIN for an order of it. */

import { h } from "../window/elements.js";
import { both, keepReading, language, money, post } from "./site.js";

const EVERY_MS = 2_000;
const context = JSON.parse(document.getElementById("context").textContent);
const trouble = document.getElementById("trouble");
const join = document.getElementById("join");
let seen = "";

function tell(answer) {
  trouble.hidden = Boolean(answer.ok);
  trouble.textContent = answer.ok ? "" : `${answer.message} [${answer.code}]`;
  if (!answer.ok) trouble.scrollIntoView({ block: "nearest" });
}

join.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = join.querySelector("button");
  if (button.disabled) return;
  button.disabled = true;
  const given = new FormData(join);
  tell(
    await post("/quick/members", {
      mid: given.get("mid").trim(),
      member_id: given.get("member_id").trim(),
      pin: given.get("pin"),
      money: Number(given.get("money").replace(/[,\s]/g, "")) || 0,
      fido: given.get("fido") === "on",
    }),
  );
  button.disabled = false;
});

function memberRow(member) {
  return h(
    "li",
    { "data-member": member.member_id },
    h("strong", {}, member.member_id),
    h("span", {}, `${member.mid} · `, money(member.left, "KRW")),
    member.fido ? h("span", { class: "tag good" }, "FIDO") : null,
  );
}

function pinForm(order) {
  const id = (name) => `${name}-${order.mid}-${order.order_no}`;
  const field = (name, ko, en, attributes) =>
    h(
      "div",
      { class: "field" },
      h("label", { for: id(name) }, both(ko, en)),
      h("input", { class: "input", id: id(name), name, autocomplete: "off", ...attributes }),
    );
  const form = h(
    "form",
    { novalidate: true },
    field("member_id", "회원 아이디", "Member id", { maxlength: "16" }),
    field("pin", "PIN 6자리", "PIN, six digits", { type: "password", inputmode: "numeric", maxlength: "6" }),
    h("button", { class: "button small", type: "submit" }, both("PIN 확인", "Enter")),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.disabled) return;
    button.disabled = true;
    const given = new FormData(form);
    const asked = { mid: order.mid, order_no: order.order_no };
    tell(await post("/quick/pins", { ...asked, member_id: given.get("member_id").trim(), pin: given.get("pin") }));
    button.disabled = false;
  });
  return form;
}

function orderRow(order) {
  const state = order.used_by ? both("사용됨", "Used") : order.member_id ? both("확인됨", "Entered") : null;
  return h(
    "li",
    { "data-order": order.order_no },
    h("strong", {}, order.item_name),
    h("span", {}, `${order.merchant_name} · `, h("span", { class: "number" }, order.order_no)),
    state ? h("span", { class: "tag good" }, state) : pinForm(order),
  );
}

function show(page) {
  // A form that somebody types into is left alone.
  const now = JSON.stringify(page) + language();
  if (now === seen) return;
  seen = now;
  const none = () => [h("li", {}, both("아직 없습니다", "None yet"))];
  document.getElementById("members").replaceChildren(...(page.members.length ? page.members.map(memberRow) : none()));
  document.getElementById("orders").replaceChildren(...(page.orders.length ? page.orders.map(orderRow) : none()));
}

show(context);
keepReading("/quick/state", EVERY_MS, show);
