/** The developer's drawer of a test order: what to try, and cards that fill themselves in. */

import { authenticate } from "./choose_card.js";
import { h, refusalWords } from "./elements.js";
import { showTrans } from "./trans.js";

/** @param {import("./page.js").Page} page */
export function openDrawer(page) {
  if (document.querySelector("dialog[open]")) return;
  const close = h("button", { class: "text-button", type: "button", on: { click: () => drawer.close() } }, page.say("close"));
  const drawer = h(
    "dialog",
    { class: "drawer", "aria-labelledby": "drawer-title" },
    h("header", {}, h("h2", { id: "drawer-title" }, page.say("dev.title")), close),
    scenarios(page),
    page.order.method_kind === "card" ? cards(page, () => drawer.close()) : null,
    page.order.method_kind === "trans" ? account(page, () => drawer.close()) : null,
    magic(page),
  );
  drawer.addEventListener("close", () => drawer.remove());
  document.body.append(drawer);
  drawer.showModal();
}

function sentence(page, row) {
  return page.speech.language === "ko" ? row.ko : row.en;
}

function scenarios(page) {
  const status = h("p", { class: "small-print", role: "status" });
  const select = h(
    "select",
    { class: "select", id: "scenario", "aria-describedby": "scenario-why" },
    h("option", { value: "" }, page.say("dev.scenario.none")),
    page.context.magic.map((row) =>
      h("option", { value: row.scenario, selected: row.scenario === page.context.scenario }, `${sentence(page, row)} (${row.scenario})`),
    ),
  );
  select.addEventListener("change", async () => {
    select.disabled = true;
    const answer = await page.ask("scenario", { scenario: select.value || null });
    select.disabled = false;
    if (answer.ok) {
      page.context.scenario = select.value || null;
      status.textContent = page.say("dev.scenario.set");
      markScenario(page);
    } else status.replaceChildren(...refusalWords(page, answer));
  });
  return h(
    "section",
    {},
    h(
      "div",
      { class: "field" },
      h("label", { for: "scenario" }, page.say("dev.scenario")),
      select,
      h("span", { class: "hint", id: "scenario-why" }, page.say("dev.scenario.why")),
    ),
    status,
  );
}

/** A chosen scenario must not be forgotten: the ribbon names it. */
export function markScenario(page) {
  const row = page.context.magic.find(({ scenario }) => scenario === page.context.scenario);
  document
    .getElementById("scenario-mark")
    .replaceChildren(...(row ? [`${sentence(page, row)} `, h("small", {}, row.scenario)] : []));
}

function cards(page, close) {
  const korean = page.speech.language === "ko";
  const row = (card) => {
    const company = page.context.card_companies.find(({ code }) => code === card.issuer_code);
    const secrets = [
      card.expiry && `${page.say("expiry")} ${card.expiry.slice(0, 2)}/${card.expiry.slice(2)}`,
      card.cvc && `CVC ${card.cvc}`,
      card.password && `${page.say("password")} ${card.password}`,
      card.pin && `PIN ${card.pin}`,
    ];
    return h(
      "li",
      { class: "card-row" },
      h(
        "div",
        {},
        h("strong", {}, `${page.sayOr(`company.${card.issuer_code}`, card.issuer_name)} · ${page.say(`way.${card.auth}.short`)}`),
        h("div", { class: "number" }, card.number.replace(/(\d{4})(?=\d)/g, "$1 ")),
        h("div", { class: "small-print" }, secrets.filter(Boolean).join(" · ")),
        h("div", { class: "small-print" }, korean ? card.note_ko : card.note_en),
      ),
      company
        ? h(
            "button",
            {
              class: "button quiet small",
              type: "button",
              "data-card": card.id,
              "aria-label": page.say("dev.use_card", { card: card.masked }),
              on: {
                click: () => {
                  if (page.busy || page.leaving) return;
                  close();
                  authenticate(page, company, card.auth, card);
                },
              },
            },
            page.say("dev.use"),
          )
        : null,
    );
  };
  return h(
    "section",
    {},
    h("h3", {}, page.say("dev.cards")),
    h("ul", {}, ["mpi", "isp", "simple"].flatMap((way) => page.context.demo_cards[way]).map(row)),
  );
}

function account(page, close) {
  const demo = page.context.demo_account;
  const fill = () => {
    if (page.busy || page.leaving) return;
    close();
    showTrans(page, { account: demo });
  };
  return h(
    "section",
    {},
    h("h3", {}, page.say("dev.account")),
    h("p", { class: "number" }, `${demo.bank_code} · ${demo.account_number} · ${demo.password}`),
    h("div", {}, h("button", { class: "button quiet small", type: "button", id: "use-account", on: { click: fill } }, page.say("dev.use"))),
  );
}

function magic(page) {
  const causes = (row) =>
    [
      row.amount !== null && page.speech.money(row.amount, page.order.currency),
      row.card_number !== null && row.card_number.replace(/(\d{4})(?=\d)/g, "$1 "),
    ]
      .filter(Boolean)
      .map((way) => h("div", { class: "whole" }, way));
  return h(
    "section",
    {},
    h("h3", {}, page.say("dev.magic")),
    h("p", { class: "small-print" }, page.say("dev.magic.why")),
    h(
      "div",
      { class: "table-scroll", tabindex: "0", role: "region", "aria-label": page.say("dev.magic") },
      h(
        "table",
        { class: "table" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, page.say("dev.magic.how")), h("th", { scope: "col" }, page.say("dev.magic.what")))),
        h(
          "tbody",
          {},
          page.context.magic.map((row) =>
            h(
              "tr",
              {},
              h("th", { scope: "row" }, causes(row).length ? causes(row) : page.say("dev.magic.scenario_only")),
              h("td", {}, sentence(page, row), row.code ? h("div", { class: "small-print" }, `[${row.code}]`) : null),
            ),
          ),
        ),
      ),
    ),
  );
}
