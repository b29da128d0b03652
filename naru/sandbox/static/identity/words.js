/** Both languages stand in the page; the stylesheet shows the one that is chosen. */

import { h } from "../window/elements.js";

export const both = (ko, en) => [h("span", { lang: "ko" }, ko), h("span", { lang: "en" }, en)];

export const language = () => document.documentElement.lang;

document.getElementById("switch-language").addEventListener("click", () => {
  document.documentElement.lang = language() === "ko" ? "en" : "ko";
});

const WAIT_MS = 15_000;

/** JSON to an address below this page's own. Never throws: silence is a refusal, too. */
export async function post(path, body) {
  try {
    const answer = await fetch(location.pathname.replace(/\/$/, "") + path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      credentials: "omit",
      cache: "no-store",
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(WAIT_MS),
    });
    return await answer.json();
  } catch {
    return { ok: false, code: "NO_ANSWER", message: "응답이 없습니다. 다시 시도해 주세요." };
  }
}
