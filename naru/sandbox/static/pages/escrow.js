/** The buyer of an escrow order confirms or rejects what was shipped. */

import { post } from "./site.js";

for (const form of document.querySelectorAll("form.decide")) {
  const trouble = form.querySelector("[role=alert]");
  const buttons = form.querySelectorAll("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    buttons.forEach((button) => (button.disabled = true));
    const decision = event.submitter.value;
    const reason = decision === "rejected" ? form.elements.reason.value : "";
    const answer = await post(form.getAttribute("action"), { decision, reason });
    if (answer.ok) {
      location.reload();
      return;
    }
    trouble.hidden = false;
    trouble.textContent = `${answer.message} [${answer.code}]`;
    buttons.forEach((button) => (button.disabled = false));
  });
}
