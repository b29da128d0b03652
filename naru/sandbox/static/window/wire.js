/** Every request of the window: JSON to its own origin, with a time-out, never repeated by itself. */

const ANSWER_TIMEOUT_MS = 20_000;

/** The request may or may not have arrived: nobody here knows. */
export class NoAnswer extends Error {}

async function request(path, options) {
  let answer;
  try {
    answer = await fetch(`${location.pathname.replace(/\/$/, "")}/${path}`, {
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      ...options,
    });
    return await answer.json();
  } catch (error) {
    throw new NoAnswer(`${path}: ${answer?.status ?? "no answer"}`, { cause: error });
  }
}

/** @returns {Promise<{ok: boolean, code?: string, message?: string, attempts_left?: number}>} */
export function post(path, body) {
  return request(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** The window's context as the server sees it now. */
export function readContext() {
  return request("context", { method: "GET" });
}
