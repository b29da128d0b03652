/** Step one of a card payment: whose card, for how many months, and how to authenticate. */

import { buildForm, selectField, tilesField } from "./elements.js";
import { showIsp } from "./isp.js";
import { showMpi } from "./mpi.js";
import { showSimplePay } from "./simple_pay.js";

const WAYS = { isp: showIsp, mpi: showMpi, simple: showSimplePay };
const LAST_COMPANY = "sandbox-last-card-company";

export const cardSteps = (page) => [page.say("step.card"), page.say("step.authenticate"), page.say("step.pay")];

/** Go on with a card company by one of its ways; `card` fills the form with a test card. */
export function authenticate(page, company, way, card = null) {
  page.company = company;
  return WAYS[way](page, { company, card, back: () => showCardChoice(page) });
}

/** The field for the months, or null when only a lump sum is offered. */
function installmentField(page) {
  const months = page.order.installments;
  if (months.length < 2) return null;
  return selectField({
    id: "installments",
    label: page.say("installments"),
    value: String(page.installmentMonths),
    options: months.map((count) => ({
      value: String(count),
      label: count === 0 ? page.say("lump_sum") : page.say("months", { count }),
    })),
  });
}

export function showCardChoice(page) {
  const companies = page.context.card_companies;
  const remembered = page.company?.code ?? recall();
  const installments = installmentField(page);
  page.installmentMonths = page.order.installments.includes(page.installmentMonths)
    ? page.installmentMonths
    : page.order.installments[0];

  const ways = (code) => companies.find((company) => company.code === code)?.auth ?? [];
  let wayField = null;
  const holder = document.createElement("div");
  const showWays = (code) => {
    const offered = ways(code);
    wayField =
      offered.length < 2
        ? null
        : tilesField({
            id: "way",
            legend: page.say("way"),
            wide: true,
            value: offered[0],
            missing: page.say("missing.way"),
            options: offered.map((way) => ({
              value: way,
              name: page.say(`way.${way}`),
              note: page.say(`way.${way}.note`),
            })),
          });
    holder.replaceChildren(...(wayField ? [wayField.node] : []));
    holder.hidden = !wayField;
  };

  const company = tilesField({
    id: "company",
    legend: page.say("card_company"),
    missing: page.say("missing.company"),
    value: companies.some(({ code }) => code === remembered) ? remembered : undefined,
    onChange: (code) => {
      showWays(code);
      // On a small screen the new question would be hidden under the button.
      wayField?.node.scrollIntoView({ block: "nearest" });
    },
    options: companies.map(({ code, name, auth }) => ({
      value: code,
      // "신한카드" is "신한" on a tile: under the heading of card companies the rest is noise.
      name: page.sayOr(`company.${code}`, name.replace(/카드$/, "")),
      note: auth.map((way) => page.say(`way.${way}.short`)).join("\n"),
    })),
  });
  showWays(company.chosen());

  const form = buildForm(page, {
    fields: [company],
    actions: installments ? [installments.node] : [],
    label: page.say("next"),
    send: async () => {
      if (installments) page.installmentMonths = Number(installments.control.value);
      const chosen = companies.find(({ code }) => code === company.chosen());
      remember(chosen.code);
      await authenticate(page, chosen, wayField?.chosen() ?? chosen.auth[0]);
      return null;
    },
  });
  company.node.after(holder);

  page.show({
    name: "choose-card",
    title: page.say("choose_card.title"),
    why: page.say("choose_card.why"),
    steps: cardSteps(page),
    at: 0,
    body: [form],
  });
}

// Some browsers refuse storage inside a frame; remembering a company is only a comfort.
function recall() {
  try {
    return localStorage.getItem(LAST_COMPANY);
  } catch {
    return null;
  }
}

function remember(code) {
  try {
    localStorage.setItem(LAST_COMPANY, code);
  } catch {
    // Not remembered, then.
  }
}
