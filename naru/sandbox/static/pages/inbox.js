/** Messages to phones, newest first, as they arrive. */

import { h } from "../window/elements.js";
import { keepReading, moment } from "./site.js";

const EVERY_MS = 1_500;
const list = document.getElementById("messages");
const shown = new Set();

/** Addresses of our own, which apps send, can be pressed; anybody else's stay text. */
function linked(text) {
  return text
    .split(/(https?:\/\/\S+)/)
    .map((part) =>
      part.startsWith(`${location.origin}/identity/`) ? h("a", { href: part, target: "_blank", rel: "noopener" }, part) : part,
    );
}

function show({ messages }) {
  document.getElementById("nothing").hidden = messages.length > 0;
  // Oldest first, so that each new one ends up above the others.
  for (const message of [...messages].reverse()) {
    if (shown.has(message.id)) continue;
    shown.add(message.id);
    list.prepend(
      h(
        "li",
        { "data-message": message.id },
        h("span", { class: "small-print" }, `${message.to} · `, moment(message.at)),
        h("span", { class: "text" }, linked(message.text)),
      ),
    );
  }
}

show(JSON.parse(document.getElementById("context").textContent));
keepReading("/inbox/messages", EVERY_MS, show);
