/** The deposit desk: accounts that wait for money, deposits of any kind, and what became of their notices. */

import { h, textField } from "../window/elements.js";
import { both, keepReading, money, moment, post } from "./site.js";

const EVERY_MS = 2_000;
const SOON_MS = 300; // What became of a deposit is shown as soon as it is known.
const context = JSON.parse(document.getElementById("context").textContent);
const list = document.getElementById("accounts");
const desks = new Map();

const STATES = {
  waiting_deposit: ["caution", "입금 대기", "Waiting"],
  deposited: ["good", "입금 완료", "Deposited"],
  cancelled: ["bad", "취소됨", "Cancelled"],
  closed: ["bad", "닫힘", "Closed"],
  undone: ["bad", "망취소됨", "Undone"],
};
const NOTICES = {
  sending: ["caution", "전달 중…", "On its way…"],
  waiting: ["caution", "다시 전달할 예정", "To be sent again"],
  delivered: ["good", "전달됨", "Delivered"],
  given_up: ["bad", "포기함", "Given up"],
};
const OUTCOMES = { ok: ["응답 OK", "Answered OK"], refused: ["거절", "Refused"], no_answer: ["응답 없음", "No answer"] };

function tag(table, word) {
  const [tone, ko, en] = table[word] ?? ["", word, word];
  return h("span", { class: `tag ${tone}`, "data-state": word }, both(ko, en));
}

/** Time and place of a refusal's words, beside the button that caused it. */
function tell(place, answer) {
  place.hidden = Boolean(answer.ok);
  place.textContent = answer.ok ? "" : `${answer.message} [${answer.code}]`;
}

class Desk {
  constructor(account) {
    this.number = account.number;
    this.state = h("span");
    this.facts = h("dl", { class: "facts" });
    this.deposits = h("ul", { class: "history" });
    this.notices = h("ul", { class: "history" });
    this.title = `account-${account.number}`;
    this.node = h(
      "section",
      { class: "panel", "aria-labelledby": this.title, "data-account": account.number },
      h(
        "header",
        {},
        h("h2", { id: this.title }, `${account.bank_name} `, h("span", { class: "account-number number" }, account.number)),
        this.state,
      ),
      h(
        "div",
        { class: "columns" },
        h("div", {}, this.facts),
        this.#form(account),
        h(
          "div",
          {},
          h("h3", {}, both("입금 내역", "Deposits")),
          this.deposits,
          h("h3", {}, both("통보", "Notices")),
          this.notices,
        ),
      ),
    );
    this.update(account);
  }

  #form(account) {
    const id = (name) => `${name}-${account.number}`;
    const amount = textField({
      id: id("amount"),
      label: "",
      check: () => null,
      attributes: { inputmode: "numeric", value: String(account.amount), name: "amount" },
    });
    amount.node.querySelector("label").append(...both(`입금액 (${account.currency})`, `Amount (${account.currency})`));
    const depositor = textField({
      id: id("depositor"),
      label: "",
      check: () => null,
      attributes: { value: account.holder, maxlength: "30", name: "depositor" },
    });
    depositor.node.querySelector("label").append(...both("입금자", "Depositor"));
    const late = h("input", { type: "checkbox", id: id("late") });
    const trouble = h("p", { class: "note-box bad", role: "alert", hidden: true });
    const button = h("button", { class: "button", type: "submit" }, both("입금하기", "Pay in"));
    const shortcut = (ko, en, minor) =>
      h(
        "button",
        { class: "button quiet small", type: "button", on: { click: () => (amount.control.value = String(minor)) } },
        both(ko, en),
      );
    const form = h(
      "form",
      { novalidate: true },
      trouble,
      amount.node,
      h(
        "div",
        { class: "shortcuts" },
        shortcut("주문 금액", "Exact", account.amount),
        shortcut("1 적게", "1 less", Math.max(1, account.amount - 1)),
        shortcut("1 많이", "1 more", account.amount + 1),
      ),
      depositor.node,
      h("label", { class: "tick" }, late, h("span", {}, both("기한이 지난 뒤의 입금으로", "As a late deposit, after the due date"))),
      button,
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (button.disabled) return;
      const minor = Number(amount.control.value.replace(/[,\s]/g, ""));
      if (!Number.isSafeInteger(minor) || minor < 1) {
        amount.mark(document.documentElement.lang === "ko" ? "1 이상의 정수를 입력해 주세요" : "Enter a whole number of 1 or more");
        amount.control.focus();
        return;
      }
      button.disabled = true;
      const answer = await post("/desk/deposits", {
        number: account.number,
        amount: minor,
        depositor: depositor.control.value.trim(),
        deposited_at: late.checked ? account.due + 60 : null,
      });
      button.disabled = false;
      tell(trouble, answer);
      if (!answer.ok) return;
      this.update(answer.account);
      setTimeout(look, SOON_MS);
    });
    return form;
  }

  update(account) {
    const seen = JSON.stringify(account);
    if (seen === this.seen) return;
    this.seen = seen;
    this.state.replaceChildren(
      tag(STATES, account.state),
      ...(account.overdue ? [" ", h("span", { class: "tag bad" }, both("기한 지남", "Overdue"))] : []),
    );
    const facts = [
      [["가맹점", "Merchant"], account.merchant_name],
      [["상품", "Item"], account.item_name],
      [["예금주", "Holder"], account.holder],
      [["받을 금액", "Expected"], money(account.amount, account.currency)],
      [["입금된 금액", "Deposited"], h("strong", { class: "total" }, money(account.total, account.currency))],
      [["입금 기한", "Due"], moment(account.due)],
      [["PG 주문번호", "Order"], h("span", { class: "number" }, account.order_no)],
    ];
    this.facts.replaceChildren(...facts.flatMap(([name, value]) => [h("dt", {}, both(...name)), h("dd", {}, value)]));
    this.deposits.replaceChildren(
      ...(account.deposits.length
        ? account.deposits.map((deposit) =>
            h(
              "li",
              {},
              h("strong", {}, money(deposit.amount, account.currency)),
              h("span", {}, `${deposit.depositor} · `, moment(deposit.deposited_at)),
              deposit.late ? h("span", {}, h("span", { class: "tag bad" }, both("기한 뒤", "Late"))) : null,
            ),
          )
        : [h("li", {}, both("아직 없습니다", "None yet"))]),
    );
    this.notices.replaceChildren(
      ...(account.notices.length
        ? account.notices.map((notice) => noticeRow(notice, account.currency))
        : [h("li", {}, both("아직 없습니다", "None yet"))]),
    );
  }
}

/** A notice that nobody has tried to deliver yet leaves at this moment: its end is read in a moment. */
function stateOf(notice) {
  return notice.state === "waiting" && !notice.attempts.length ? "sending" : notice.state;
}

function noticeRow(notice, currency) {
  const trouble = h("span", { class: "wrong", hidden: true });
  const again = h("button", { class: "text-button", type: "button" }, both("다시 보내기", "Send again"));
  again.addEventListener("click", async () => {
    again.disabled = true;
    tell(trouble, await post(`/desk/notices/${encodeURIComponent(notice.notice_id)}/resend`, {}));
    again.disabled = false;
  });
  return h(
    "li",
    { "data-notice": notice.notice_id },
    h("span", {}, h("strong", {}, money(notice.amount, currency)), " ", tag(NOTICES, stateOf(notice))),
    notice.attempts.map((attempt) =>
      h(
        "span",
        { class: "small-print" },
        both(...OUTCOMES[attempt.outcome]),
        ` · ${attempt.http_status ?? "–"} · ${attempt.duration_ms} ms · `,
        moment(attempt.at),
        attempt.outcome === "ok" || !attempt.detail ? "" : ` · ${attempt.detail}`,
      ),
    ),
    notice.next_at && stateOf(notice) === "waiting"
      ? h("span", { class: "small-print" }, both("다음 시도 ", "Next try "), moment(notice.next_at))
      : null,
    h("span", {}, again, trouble),
  );
}

function show({ accounts }) {
  document.getElementById("nothing").hidden = accounts.length > 0;
  for (const account of [...accounts].reverse()) {
    const desk = desks.get(account.number);
    if (desk) desk.update(account);
    else {
      const made = new Desk(account);
      desks.set(account.number, made);
      list.prepend(made.node);
    }
  }
}

show(context);
const look = keepReading(`/desk/state${context.number ? `?number=${encodeURIComponent(context.number)}` : ""}`, EVERY_MS, show);
