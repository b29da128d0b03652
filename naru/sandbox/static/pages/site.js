/** What every developer page does: the language switch, Korean times, and honest requests. */

import { h } from "../window/elements.js";

const LANGUAGE = "sandbox-page-language";
const WAIT_MS = 10_000;
const LOCALES = { ko: "ko-KR", en: "en-GB" };

/** The same words in both languages; the stylesheet shows the one that is chosen. */
export const both = (ko, en) => [h("span", { lang: "ko" }, ko), h("span", { lang: "en" }, en)];

export const language = () => document.documentElement.lang;

/** UNIX seconds in Korean time. */
export function moment(seconds) {
  const time = h("time", { "data-seconds": seconds });
  writeTime(time);
  return time;
}

function writeTime(time) {
  const at = new Date(Number(time.dataset.seconds) * 1000);
  time.dateTime = at.toISOString();
  time.textContent = `${new Intl.DateTimeFormat(LOCALES[language()], {
    timeZone: "Asia/Seoul",
    dateStyle: "medium",
    timeStyle: "medium",
    hourCycle: "h23",
  }).format(at)} (KST)`;
}

export function money(minor, currency) {
  const style = { style: "currency", currency, currencyDisplay: "code" };
  const digits = new Intl.NumberFormat("en", style).resolvedOptions().maximumFractionDigits;
  if (currency === "KRW") return `${minor.toLocaleString("ko-KR")}원`;
  return new Intl.NumberFormat("en", style).format(minor / 10 ** digits);
}

/** JSON from our own origin, or an error. @returns {Promise<any>} */
export async function read(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(WAIT_MS) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** @returns {Promise<{ok: boolean, code?: string, message?: string}>} never throws: silence is a refusal, too */
export async function post(path, body, waitMs = WAIT_MS) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(waitMs),
    });
    return await answer.json();
  } catch {
    return {
      ok: false,
      code: "NO_ANSWER",
      message:
        language() === "ko"
          ? "응답이 없습니다. 다시 하기 전에 처리되었는지 확인해 주세요."
          : "No answer. Before you repeat it, check whether it was done.",
    };
  }
}

/** Read again and again while the page is looked at; a silence is shown and does not stop it. Returns how to read at once. */
export function keepReading(path, everyMs, show) {
  const silence = document.getElementById("silence");
  const look = async () => {
    try {
      show(await read(path));
      silence.hidden = true;
    } catch {
      silence.hidden = false;
    }
  };
  const again = async () => {
    if (!document.hidden) await look();
    setTimeout(again, everyMs);
  };
  setTimeout(again, everyMs);
  return look;
}

function speak(chosen) {
  document.documentElement.lang = chosen;
  document.querySelectorAll("time[data-seconds]").forEach(writeTime);
}

function remembered() {
  try {
    return localStorage.getItem(LANGUAGE);
  } catch {
    return null;
  }
}

speak(remembered() === "en" ? "en" : "ko");
document.getElementById("switch-language").addEventListener("click", () => {
  speak(language() === "ko" ? "en" : "ko");
  try {
    localStorage.setItem(LANGUAGE, language());
  } catch {
    // Chosen for this page only, then.
  }
});
