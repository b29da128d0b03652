/** Step one of a card payment: whose card, for how many months, and how to authenticate. */

import { buildForm, selectField, tilesField } from "./elements.js";
import { showRefusal } from "./endings.js";
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

/** The field for the months of one card company, or null when there is nothing to choose. */
function installmentField(page, months) {
  page.installmentMonths = months.includes(page.installmentMonths) ? page.installmentMonths : months[0];
  if (months.length < 2) return null;
  const free = page.order.rules.free_interest;
  return selectField({
    id: "installments",
    label: page.say("installments"),
    hint: free ? page.say("free_interest") : undefined,
    value: String(page.installmentMonths),
    options: months.map((count) => ({
      value: String(count),
      label: count === 0 ? page.say("lump_sum") : page.say("months", { count }),
    })),
  });
}

/** The merchant named one card company: begin there, when nothing is left to choose. */
export function showFirstCardStep(page) {
  const [only, ...others] = page.context.card_companies;
  const decided = page.order.rules.direct && only && !others.length;
  if (!decided || only.auth.length !== 1 || only.months.length !== 1) return showCardChoice(page);
  [page.installmentMonths] = only.months;
  return authenticate(page, only, only.auth[0]);
}

function showCardChoice(page) {
  const companies = page.context.card_companies;
  if (!companies.length) {
    showRefusal(page, { code: "NO_CARD_OFFERED" }, {});
    return;
  }
  const remembered = companies.length === 1 ? companies[0].code : page.company?.code ?? recall();
  const months = (code) => companies.find((one) => one.code === code)?.months ?? page.order.installments;
  const monthsHolder = document.createElement("div");
  let installments = null;
  const showMonths = (code) => {
    if (installments) page.installmentMonths = Number(installments.control.value);
    installments = installmentField(page, months(code));
    monthsHolder.replaceChildren(...(installments ? [installments.node] : []));
    monthsHolder.hidden = !installments;
  };

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
      showMonths(code);
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
  showMonths(company.chosen());

  const form = buildForm(page, {
    fields: [company],
    actions: [monthsHolder],
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
