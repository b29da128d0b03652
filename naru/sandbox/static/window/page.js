/** The page around the steps: shows one view at a time, sends one request at a time, and knows every way out. */

import { h, refusalWords } from "./elements.js";
import { showEnding } from "./endings.js";
import { NoAnswer, post, readContext } from "./wire.js";

const RECONNECT_WAIT_MS = 2_000;

export class Page {
  busy = false;
  /** True once the browser is on its way back to the merchant. */
  leaving = false;
  #first = true;

  /**
   * @param {object} context the WindowContext of naru/sandbox/window.py
   * @param {import("./say.js").Speech} speech
   */
  constructor(context, speech) {
    this.context = context;
    this.speech = speech;
    this.order = context.order;
    this.stage = document.getElementById("stage");
    this.live = document.getElementById("live");
    this.notice = document.getElementById("notice");
    this.installmentMonths = 0;
    // The PG's clock counts, not the buyer's.
    this.clockAhead = context.server_time - Date.now() / 1000;
  }

  say(key, values) {
    return this.speech.say(key, values);
  }

  sayOr(key, otherwise, values) {
    return this.speech.sayOr(key, otherwise, values);
  }

  money() {
    return this.speech.money(this.order.amount, this.order.currency);
  }

  /** What the last button says: pay, keep the card, or both; `words` are those of this way of paying. */
  payLabel(words = "authenticate") {
    const { keep_card: keep, amount } = this.order;
    if (keep) return this.say(amount ? "keep.and_pay" : "keep.only", { amount: this.money() });
    return this.say(words, { amount: this.money() });
  }

  now() {
    return Date.now() / 1000 + this.clockAhead;
  }

  /** Tell a screen reader without moving the focus. */
  announce(sentence) {
    this.live.textContent = sentence;
  }

  /**
   * Put a step on the stage.
   * @param {{name: string, title: string, why?: string, steps?: string[], at?: number, body: Node[], centred?: boolean, dispose?: () => void}} view
   */
  show(view) {
    this.dispose?.();
    this.dispose = view.dispose;
    this.notice.replaceChildren();
    const heading = h("h2", { tabindex: "-1", id: "view-title" }, view.title);
    this.stage.removeAttribute("aria-busy");
    this.stage.replaceChildren(
      ...(view.steps ? [this.#steps(view.steps, view.at)] : []),
      h(
        "div",
        { class: view.centred ? "view centred" : "view", "data-view": view.name },
        heading,
        view.why ? h("p", { class: "why" }, view.why) : null,
        view.body,
      ),
    );
    document.title = `${view.title} · ${this.order.merchant_name}`;
    // The first view leaves the focus where the browser put it; later ones say that the page has moved on.
    if (!this.#first) heading.focus({ preventScroll: true });
    this.#first = false;
    window.scrollTo(0, 0);
  }

  #steps(names, at) {
    return h(
      "ol",
      { class: "steps", "aria-label": this.say("steps") },
      names.map((name, place) =>
        h(
          "li",
          { class: place < at ? "done" : null, "aria-current": place === at ? "step" : null },
          h("span", { class: "unseen" }, place < at ? this.say("step_done") : ""),
          name,
        ),
      ),
    );
  }

  /**
   * Ask the PG for something that does not finish the order.
   * @returns {Promise<object>} the answer, or a refusal to show
   */
  async ask(path, body) {
    if (this.busy) return { ok: false, code: "BUSY" };
    this.busy = true;
    try {
      const answer = await post(path, body);
      if (!answer.ok) this.#endIfOver(answer);
      return answer;
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      return (await this.#reconnect()) ?? { ok: false, code: "NETWORK_LOST" };
    } finally {
      this.busy = false;
    }
  }

  /** Send what finishes the order; on success the browser leaves. @returns {Promise<object | null>} a refusal or null */
  async submit(path, body) {
    const answer = await this.ask(path, body);
    if (answer.ok) {
      this.leave(answer.return_form);
      return null;
    }
    return this.leaving || answer.code === "BUSY" ? null : answer;
  }

  #endIfOver(answer) {
    if (answer.code === "ALREADY_FINISHED") {
      this.context.return_form = answer.return_form ?? this.context.return_form;
      this.leaving = true;
      showEnding(this, "used");
    } else if (answer.code === "SESSION_EXPIRED") {
      this.leaving = true;
      showEnding(this, "expired");
    }
  }

  /**
   * The answer was lost: ask the PG what became of the order before anything is sent again.
   * @returns {Promise<object | null>} a refusal when the order is over, null when it is still open
   */
  async #reconnect() {
    const wake = { now: () => {} };
    const again = h("button", { class: "button quiet small", type: "button", on: { click: () => wake.now() } }, this.say("check_now"));
    this.notice.replaceChildren(
      h(
        "div",
        { class: "note-box caution", role: "status" },
        h("strong", {}, this.say("lost.title")),
        h("span", {}, this.say("lost.text")),
        h("div", {}, again),
      ),
    );
    this.notice.scrollIntoView({ block: "nearest" });
    for (;;) {
      await new Promise((resolve) => {
        wake.now = resolve;
        setTimeout(resolve, RECONNECT_WAIT_MS);
        window.addEventListener("online", resolve, { once: true });
      });
      try {
        this.context = await readContext();
        break;
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
      }
    }
    this.notice.replaceChildren();
    if (this.context.state === "open") return null;
    this.leaving = true;
    showEnding(this, this.context.state === "expired" ? "expired" : "arrived");
    return { ok: false, code: "ALREADY_FINISHED" };
  }

  /** Carry the signed result back to the merchant's gateway: a form POST in this same frame, tab or popup. */
  leave(returnForm, ending = "leaving") {
    this.leaving = true;
    this.context.return_form = returnForm;
    showEnding(this, ending);
    const form = h(
      "form",
      { method: "post", action: returnForm.action, hidden: true },
      Object.entries(returnForm.fields).map(([name, value]) => h("input", { type: "hidden", name, value })),
    );
    document.body.append(form);
    form.submit();
  }

  /** The way back for an order that is over: its result as the PG knows it. */
  async goBack() {
    const answer = await this.ask("finish", {});
    if (answer.return_form) this.leave(answer.return_form);
    else if (answer.code === "NOT_FINISHED") this.askToCancel();
    else this.notice.replaceChildren(h("div", { class: "note-box bad", role: "alert" }, refusalWords(this, answer)));
  }

  /** Ask before leaving; the safe choice has the focus, and Esc means it. */
  askToCancel() {
    if (this.busy || this.leaving || document.querySelector("dialog[open]")) return;
    const dialog = h(
      "dialog",
      { class: "question", "aria-labelledby": "leave-title", "aria-describedby": "leave-text" },
      h("h2", { id: "leave-title" }, this.say("cancel.title")),
      h("p", { id: "leave-text" }, this.say("cancel.text")),
      h(
        "div",
        { class: "row" },
        h("button", { class: "button", type: "button", on: { click: () => dialog.close() } }, this.say("cancel.stay")),
        h(
          "button",
          { class: "button quiet", type: "button", id: "cancel-yes", on: { click: () => dialog.close("leave") } },
          this.say("cancel.leave"),
        ),
      ),
    );
    dialog.addEventListener("close", async () => {
      dialog.remove();
      if (dialog.returnValue !== "leave") return;
      const answer = await this.ask("cancel", {});
      if (answer.ok) this.leave(answer.return_form, "cancelled");
      else if (!this.leaving) {
        this.notice.replaceChildren(h("div", { class: "note-box bad", role: "alert" }, refusalWords(this, answer)));
      }
    });
    document.body.append(dialog);
    dialog.showModal();
  }
}

