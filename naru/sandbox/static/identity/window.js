/** The identity window: who you are, then a code by SMS or a question in your app. */

import { h } from "../window/elements.js";
import { both, post } from "./words.js";

const ASK_APP_MS = 1_500;
const context = JSON.parse(document.getElementById("context").textContent);
const stage = document.getElementById("stage");
const cancelling = document.getElementById("cancel");
const skew = context.server_time - Date.now() / 1000;
const now = () => Date.now() / 1000 + skew;

const CARRIERS = [
  ["SKT", "SKT"],
  ["KT", "KT"],
  ["LGT", "LG U+"],
];
const EN = {
  BIRTH_WRONG: "This birthday does not exist.",
  PERSON_MISMATCH: "The carrier knows another person under this number.",
  LINE_SUSPENDED: "This number is suspended.",
  UNDER_AGE: "You are too young for this site.",
  TOO_MANY_CODES: "Too many codes were asked for.",
  CODE_WRONG: "This is not the code.",
  CODE_DEAD: "This code is too old. Please ask for another one.",
  TOO_MANY_TRIES: "Five wrong codes: this verification has ended.",
  PERSON_BLOCKED: "This person has forbidden verification.",
  APP_REFUSED: "You refused in your app.",
  ALREADY_FINISHED: "This verification has ended.",
  SESSION_EXPIRED: "The time for this verification is over.",
  NO_ANSWER: "No answer. Please try again.",
  BAD_REQUEST: "Please check what you entered.",
};

let who = { name: context.name, phone: context.phone, carrier: context.carrier, how: "sms" };
let leaving = false;
let dispose = () => {};

/** Go back to where the person came from, with the company's signed word. */
function leave(form) {
  leaving = true;
  dispose();
  const sent = h(
    "form",
    { method: "post", action: form.action, hidden: true },
    Object.entries(form.fields).map(([name, value]) => h("input", { type: "hidden", name, value })),
  );
  document.body.append(sent);
  sent.submit();
}

function show(...children) {
  dispose();
  dispose = () => {};
  stage.replaceChildren(...children);
  const title = stage.querySelector("h1");
  if (title) {
    title.tabIndex = -1;
    title.focus();
  }
}

function refusal(answer) {
  const left = Number.isInteger(answer.attempts_left) && answer.attempts_left > 0 ? answer.attempts_left : null;
  const en = EN[answer.code] ?? answer.message;
  return both(answer.message, left === null ? en : `${en} (${left} tries left)`);
}

/** What the company said: on, back to the site with an ending, or why not. */
function heard(answer, box) {
  if (answer.return_form && !answer.ok) {
    showEnding(answer);
    return true;
  }
  if (answer.return_form) {
    leave(answer.return_form);
    return true;
  }
  if (answer.ok) return false;
  box.replaceChildren(...refusal(answer));
  box.hidden = false;
  box.focus();
  return true;
}

function showEnding(answer) {
  const back = h("button", { class: "button", type: "button", id: "back" }, both("돌아가기", "Go back"));
  back.addEventListener("click", () => leave(answer.return_form));
  show(
    h("h1", {}, both("본인인증이 끝나지 않았습니다", "You were not verified")),
    h("p", { class: "note-box bad", role: "alert", id: "ending" }, refusal(answer)),
    h("div", { class: "actions" }, back),
  );
}

function field(id, ko, en, attributes) {
  const input = h("input", { id, class: "input", type: "text", autocomplete: "off", required: true, ...attributes });
  return [h("div", { class: "field" }, h("label", { for: id }, both(ko, en)), input), input];
}

function choices(name, legend, options, chosen) {
  const radios = options.map(([value], place) =>
    h("input", { type: "radio", name, id: `${name}-${place}`, value, checked: value === chosen, required: true }),
  );
  const node = h(
    "fieldset",
    { class: "field" },
    h("legend", { class: "legend" }, legend),
    h(
      "div",
      { class: "tiles" },
      options.map(([, label], place) => h("label", { class: "tile" }, radios[place], h("span", { class: "name" }, label))),
    ),
  );
  return [node, () => radios.find((radio) => radio.checked)?.value ?? null];
}

const digits = (text) => text.replace(/\D/g, "");

function showPerson() {
  const [nameField, name] = field("person-name", "이름", "Name", { value: who.name, maxlength: "50", autocomplete: "name" });
  const birth = h("input", { id: "birth", class: "input", inputmode: "numeric", maxlength: "6", value: who.birth ?? "", autocomplete: "off", placeholder: "900720", required: true });
  const digit = h("input", { id: "gender-digit", class: "input", inputmode: "numeric", maxlength: "1", value: who.gender_digit ?? "", autocomplete: "off", required: true, "aria-label": "주민등록번호 뒤 첫째 자리 / 7th digit of the resident number" });
  const birthField = h(
    "div",
    { class: "field" },
    h("label", { for: "birth" }, both("생년월일 6자리와 주민등록번호 뒤 첫째 자리", "Birthday (YYMMDD) and the 7th digit of the resident number")),
    h("div", { class: "birth" }, birth, h("span", { "aria-hidden": "true" }, "–"), digit),
  );
  const [carrierField, carrier] = choices("carrier", both("통신사", "Carrier"), CARRIERS, who.carrier);
  const mvno = h("input", { type: "checkbox", id: "mvno", checked: who.mvno || context.carrier === "MVNO" });
  const [phoneField, phone] = field("person-phone", "휴대폰 번호", "Mobile number", { value: who.phone, inputmode: "numeric", type: "tel", maxlength: "13", autocomplete: "tel-national" });
  const [howField, how] = choices("how", both("인증 방법", "How"), [["sms", both("문자(SMS)", "SMS code")], ["app", both("인증 앱", "App")]], who.how);
  const box = h("p", { class: "note-box bad", role: "alert", tabindex: "-1", id: "trouble", hidden: true });
  const button = h("button", { class: "button", type: "submit", id: "send" }, both("인증 요청", "Send"));
  const form = h(
    "form",
    { novalidate: true },
    box,
    nameField,
    birthField,
    carrierField,
    h("label", { class: "tick" }, mvno, h("span", {}, both("알뜰폰(MVNO)", "Virtual operator (MVNO)"))),
    phoneField,
    howField,
    button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled || leaving) return;
    const said = {
      name: name.value.trim(),
      birth: digits(birth.value),
      gender_digit: digits(digit.value),
      carrier: carrier(),
      mvno: mvno.checked,
      phone: digits(phone.value),
      how: how(),
    };
    const wrong = [
      [said.name.length >= 2, name, "이름을 입력해 주세요.", "Please enter your name."],
      [/^\d{6}$/.test(said.birth), birth, "생년월일 6자리를 입력해 주세요.", "Please enter your birthday in six digits."],
      [/^[1-8]$/.test(said.gender_digit), digit, "주민등록번호 뒤 첫째 자리를 입력해 주세요.", "Please enter the 7th digit of your resident number."],
      [said.carrier, form.querySelector("#carrier-0"), "통신사를 선택해 주세요.", "Please choose your carrier."],
      [/^01[016789]\d{7,8}$/.test(said.phone), phone, "휴대폰 번호를 입력해 주세요.", "Please enter your mobile number."],
    ].find(([fits]) => !fits);
    if (wrong) {
      const [, place, ko, en] = wrong;
      box.replaceChildren(...both(ko, en));
      box.hidden = false;
      place.focus();
      return;
    }
    box.hidden = true;
    button.disabled = true;
    who = said;
    const answer = await post("/person", said);
    button.disabled = false;
    if (leaving || heard(answer, box)) return;
    if (said.how === "app") showApp(answer.expires_at);
    else showCode(answer.expires_at);
  });
  show(h("h1", {}, both("휴대폰 본인인증", "Verify yourself")), form);
}

function clock(until) {
  const left = h("span", { class: "badge", id: "code-left" });
  const tick = () => {
    const seconds = Math.max(0, Math.floor(until - now()));
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  };
  const timer = setInterval(tick, 500);
  tick();
  return [left, () => clearInterval(timer)];
}

function againButton() {
  const again = h("button", { class: "button quiet", type: "button", id: "again" }, both("다시 입력", "Start again"));
  again.addEventListener("click", showPerson);
  return again;
}

function showCode(until) {
  const [left, stop] = clock(until);
  const code = h("input", { id: "code", class: "input", inputmode: "numeric", maxlength: "6", autocomplete: "one-time-code", required: true });
  const box = h("p", { class: "note-box bad", role: "alert", tabindex: "-1", id: "trouble", hidden: true });
  const button = h("button", { class: "button", type: "submit", id: "confirm" }, both("확인", "Confirm"));
  const form = h(
    "form",
    { novalidate: true },
    box,
    h("div", { class: "field" }, h("label", { for: "code" }, both("인증번호 6자리", "The 6-digit code")), h("div", { class: "with-badge" }, code, left)),
    h("div", { class: "actions" }, againButton(), button),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled || leaving) return;
    const typed = digits(code.value);
    if (typed.length !== 6) {
      box.replaceChildren(...both("인증번호 6자리를 입력해 주세요.", "Please enter the six digits."));
      box.hidden = false;
      code.focus();
      return;
    }
    button.disabled = true;
    box.hidden = true;
    const answer = await post("/code", { code: typed });
    button.disabled = false;
    if (!leaving) heard(answer, box);
    code.value = "";
  });
  show(
    h("h1", {}, both("문자로 받은 인증번호", "The code from the SMS")),
    h("p", {}, both(`${who.phone} 번호로 인증번호를 보냈습니다.`, `A code was sent to ${who.phone}.`)),
    form,
  );
  dispose = stop;
  code.focus();
}

function showApp(until) {
  const [left, stop] = clock(until);
  const box = h("p", { class: "note-box bad", role: "alert", tabindex: "-1", id: "trouble", hidden: true });
  show(
    h("h1", {}, both("인증 앱에서 확인해 주세요", "Please confirm in your app")),
    h(
      "div",
      { class: "waiting" },
      h("div", { class: "turning", "aria-hidden": "true" }),
      h("p", {}, both("확인하면 자동으로 이어집니다.", "This page goes on by itself.")),
      left,
    ),
    box,
    h("div", { class: "actions" }, againButton()),
  );
  let over = false;
  const ask = async () => {
    if (over || leaving) return;
    const answer = await post("/app", {});
    if (over || leaving) return;
    // Not yet confirmed, or no answer: it is asked again.
    if (!["NOT_CONFIRMED", "NO_ANSWER"].includes(answer.code) && heard(answer, box)) return;
    setTimeout(ask, ASK_APP_MS);
  };
  setTimeout(ask, ASK_APP_MS);
  dispose = () => {
    over = true;
    stop();
  };
}

cancelling.addEventListener("click", async () => {
  if (leaving) return;
  cancelling.disabled = true;
  const answer = await post("/cancel", {});
  cancelling.disabled = false;
  if (answer.return_form) leave(answer.return_form);
});

if (context.return_form) leave(context.return_form);
else showPerson();
