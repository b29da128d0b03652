/** Bank transfer: the buyer's bank, account number and account password. */

import { buildForm, selectField, textField } from "./elements.js";
import { showIfFinal } from "./endings.js";

/** @param {import("./page.js").Page} page */
export function showTrans(page, { account = null } = {}) {
  const bank = selectField({
    id: "bank",
    label: page.say("bank"),
    value: account?.bank_code ?? "",
    options: bankOptions(page),
    check: (code) => (code ? null : page.say("missing.bank")),
  });
  const number = textField({
    id: "account-number",
    label: page.say("account_number"),
    hint: page.say("account_number.hint"),
    shape: (text) => text.replace(/[^\d-]/g, "").slice(0, 20),
    attributes: { inputmode: "numeric", autocomplete: "off", value: account?.account_number },
    check: (text) => (/^\d{8,16}$/.test(text.replace(/-/g, "")) ? null : page.say("wrong.account_number")),
  });
  const password = textField({
    id: "account-password",
    label: page.say("account_password"),
    hint: page.say("account_password.hint"),
    shape: (text) => text.replace(/\D/g, "").slice(0, 4),
    attributes: { type: "password", inputmode: "numeric", maxlength: "4", value: account?.password },
    check: (text) => (/^\d{4}$/.test(text) ? null : page.say("wrong.account_password")),
  });
  page.show({
    name: "trans",
    title: page.say("trans.title"),
    why: page.say("trans.why"),
    steps: [page.say("step.account"), page.say("step.pay")],
    at: 0,
    body: [
      buildForm(page, {
        fields: [bank, number, password],
        label: page.payLabel(),
        send: async () => {
          const refusal = await page.submit("trans", {
            bank_code: bank.control.value,
            account_number: number.control.value.replace(/\D/g, ""),
            password: password.control.value,
          });
          if (!refusal) return null;
          password.control.value = "";
          return showIfFinal(page, refusal, null);
        },
      }),
    ],
  });
}

export function bankOptions(page) {
  return [
    { value: "", label: page.say("choose") },
    ...page.context.banks.map(({ code, name }) => ({ value: code, label: page.sayOr(`bank.${code}`, name) })),
  ];
}
