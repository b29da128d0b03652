/** How long this window lives: quiet at first, a warning near the end, and an honest end. */

import { h } from "./elements.js";
import { showEnding } from "./endings.js";

const WARNING_SECONDS = 120;

/** @param {import("./page.js").Page} page @param {HTMLElement} place where the time left is written */
export function startClock(page, place) {
  let warned = false;
  const tick = () => {
    if (page.leaving) {
      clearInterval(timer);
      return;
    }
    const left = Math.ceil(page.order.expires_at - page.now());
    if (left <= 0) {
      // A request may be on its way; the PG decides whether it came in time.
      if (page.busy) return;
      clearInterval(timer);
      page.leaving = true;
      document.querySelector("dialog[open]")?.close();
      place.textContent = "0:00";
      showEnding(page, "expired");
      return;
    }
    place.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    if (left <= WARNING_SECONDS && !warned) {
      warned = true;
      document.getElementById("warning").replaceChildren(
        h("div", { class: "note-box caution", id: "time-warning" }, page.say("time_warning", { minutes: Math.ceil(left / 60) })),
      );
    }
  };
  const timer = setInterval(tick, 1000);
  tick();
}
