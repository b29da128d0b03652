/** The person's own app: was it you who asked? */

import { post } from "./words.js";

const trouble = document.getElementById("trouble");

for (const button of document.querySelectorAll("[data-agree]")) {
  button.addEventListener("click", async () => {
    const buttons = document.querySelectorAll("[data-agree]");
    buttons.forEach((each) => (each.disabled = true));
    const answer = await post("", { agree: button.dataset.agree === "true" });
    trouble.hidden = Boolean(answer.ok);
    trouble.textContent = answer.ok ? "" : answer.message;
    document.getElementById("answers").hidden = answer.ok || answer.code === "OVER";
    document.getElementById("said").hidden = !answer.ok;
    buttons.forEach((each) => (each.disabled = false));
  });
}
