/** The wallet of a shop's customer: each form is one step; the shop's page is told when it is done. */

import { post } from "./site.js";

const told = document.getElementById("told");
const trouble = document.getElementById("trouble");

if (told && window.opener) {
  const { message, origin } = JSON.parse(told.textContent);
  window.opener.postMessage(message, origin);
  window.close();
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter ?? event.target.querySelector("button");
  button.disabled = true;
  const step = { do: button.value, ...Object.fromEntries(new FormData(event.target)) };
  const answer = await post(location.pathname, step);
  if (answer.ok) {
    location.reload();
    return;
  }
  trouble.textContent = `${answer.message} [${answer.code}]`;
  trouble.hidden = false;
  button.disabled = false;
});
