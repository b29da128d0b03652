/** The first page: unlock a test card that was locked by wrong tries. */

import { post } from "./site.js";

for (const button of document.querySelectorAll("[data-unlock]")) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    const answer = await post(`/cards/${encodeURIComponent(button.dataset.unlock)}/unlock`, {});
    if (answer.ok) {
      button.parentElement.remove();
      return;
    }
    button.disabled = false;
    const trouble = document.getElementById("trouble");
    trouble.textContent = answer.message;
    trouble.hidden = false;
  });
}
