/** ISP: a certificate in this browser signs the card company's challenge about this very order. */

import {
  CertificateStore,
  WrongPassword,
  cryptographyIsHere,
  fromBase64,
  isLocked,
  makeKey,
  sign,
} from "./certificates.js";
import { cardSteps } from "./choose_card.js";
import { buildForm, h, textField, tilesField } from "./elements.js";
import { showIfFinal, showRefusal } from "./endings.js";

/** The password of a certificate installed by one click; the page shows it. */
const DEMO_PASSWORD = "demo1234!";

let opened = null;
/** One store for the life of the page, so that what is only in memory survives from view to view. */
const openStore = () => (opened ??= CertificateStore.open());

/** @param {import("./page.js").Page} page */
export async function showIsp(page, options) {
  const { company, card, back } = options;
  if (!cryptographyIsHere()) {
    showRefusal(page, { code: "INSECURE_CONTEXT" }, { otherWay: back });
    return;
  }
  const store = await openStore();
  const certificates = (await store.all()).filter((one) => one.issuer_code === company.code);
  // The test card that the developer picked, else the company's first.
  const toInstall = card ?? page.context.demo_cards.isp.find((one) => one.issuer_code === company.code);
  const name = page.sayOr(`company.${company.code}`, company.name);

  const again = () => showIsp(page, { ...options, installed: false });
  const demo =
    toInstall
      ? h("button", { class: certificates.length ? "text-button" : "button", type: "button", id: "install-demo" }, page.say("isp.install"))
      : null;
  demo?.addEventListener("click", () => install(page, store, toInstall, demo, options));

  const memoryNote = store.onlyInMemory
    ? h("p", { class: "note-box caution", id: "memory-note" }, page.say("isp.only_in_memory"))
    : null;
  const backButton = h("button", { class: "button quiet", type: "button", on: { click: back } }, page.say("back"));

  page.show({
    name: "isp",
    title: page.say("isp.title", { company: name }),
    why: page.say("isp.why"),
    steps: cardSteps(page),
    at: 1,
    body: certificates.length
      ? [
          memoryNote,
          options.installed
            ? h("div", { class: "note-box", role: "status", id: "installed-note" }, h("span", {}, page.say("isp.installed", { password: DEMO_PASSWORD })))
            : null,
          chooser(page, store, certificates, { again, demo, backButton, back }),
        ].filter(Boolean)
      : [
          memoryNote,
          h(
            "div",
            { class: "note-box", id: "no-certificate" },
            h("strong", {}, page.say("isp.none")),
            h("span", {}, page.say(demo ? "isp.none.text" : "isp.none.no_demo")),
          ),
          h("div", { class: "actions" }, backButton, demo),
        ].filter(Boolean),
  });
}

function chooser(page, store, certificates, { again, demo, backButton, back }) {
  const list = tilesField({
    id: "certificate",
    legend: page.say("isp.certificates"),
    wide: true,
    value: certificates[0].serial,
    missing: page.say("missing.certificate"),
    options: certificates.map((one) => ({
      value: one.serial,
      name: one.masked,
      note: isLocked(one)
        ? page.say("isp.locked")
        : page.say("isp.valid_until", { date: page.speech.day(one.not_after) }),
    })),
  });
  const chosen = () => certificates.find((one) => one.serial === list.chosen());
  const password = textField({
    id: "certificate-password",
    label: page.say("isp.password"),
    hint: page.say("isp.password.hint"),
    attributes: { type: "password", autocomplete: "off", maxlength: "128" },
    check: (text) => (text ? null : page.say("missing.password")),
  });
  const remove = h("button", { class: "text-button", type: "button" }, page.say("isp.remove"));
  remove.addEventListener("click", async () => {
    await store.remove(chosen().serial);
    again();
  });
  return buildForm(page, {
    fields: [list, password],
    rest: [h("div", {}, demo, remove)],
    label: page.payLabel("isp.sign"),
    working: page.say("isp.signing"),
    actions: [backButton],
    send: async () => {
      const certificate = chosen();
      const typed = password.control.value;
      password.control.value = "";
      if (isLocked(certificate)) return { code: "CERTIFICATE_PASSWORD_LOCKED" };
      const challenge = await page.ask("isp/challenge", { certificate_serial: certificate.serial });
      if (!challenge.ok) return page.leaving ? null : showIfFinal(page, challenge, back);
      let signature;
      try {
        signature = await sign(store, certificate, typed, fromBase64(challenge.bytes));
      } catch (error) {
        if (!(error instanceof WrongPassword)) throw error;
        if (error.left <= 0) return { code: "CERTIFICATE_PASSWORD_LOCKED" };
        return { code: "CERTIFICATE_PASSWORD", attempts_left: error.left };
      }
      const refusal = await page.submit("isp/answer", {
        challenge_id: challenge.challenge_id,
        signature,
        certificate_pem: certificate.certificate_pem,
        installment_months: page.installmentMonths,
      });
      return showIfFinal(page, refusal, back);
    },
  });
}

async function install(page, store, card, button, options) {
  if (page.busy || button.disabled) return;
  button.disabled = true;
  button.classList.add("working");
  button.textContent = page.say("isp.installing");
  page.announce(button.textContent);
  const text = new TextEncoder();
  const made = await makeKey(DEMO_PASSWORD, (publicKey) =>
    text.encode(`naru-sandbox-isp-enrol/1\n${page.context.window_id}\n${card.id}\n${publicKey}`),
  );
  const answer = await page.ask("isp/enrol", { card_id: card.id, public_key: made.publicKey, proof: made.proof });
  if (!answer.ok) {
    if (!page.leaving) showRefusal(page, answer, { otherWay: () => showIsp(page, options) });
    return;
  }
  await store.keep({
    serial: answer.serial,
    issuer_code: answer.issuer_code,
    masked: answer.masked,
    not_after: answer.not_after,
    certificate_pem: answer.certificate_pem,
    lock: made.lock,
    failures: 0,
  });
  await showIsp(page, { ...options, installed: true });
}
