// The way to i'mport's REST API: one token while it lives, a time-out, and what cannot be known is said.

const TIMEOUT_MS = 6_000;
const RENEWED_BEFORE_SECONDS = 60;
const DAY_SECONDS = 86_400;

/** The gateway could not be asked: nothing is known, ask again later. */
class Trouble extends Error {}

class Gateway {
  constructor() {
    this.token = null; // a promise, so that many who need one at once ask once
  }

  /** The payment; null when the gateway knows none of this number. Throws Trouble. */
  payment(impUid) {
    return this.get(`/payments/${encodeURIComponent(impUid)}`);
  }

  /** What was paid or given back during the last three days. Throws Trouble. */
  async recent() {
    const since = Math.floor(Date.now() / 1000) - 3 * DAY_SECONDS;
    const found = [];
    for (const status of ["paid", "cancelled"]) {
      for (let page = 1; page; ) {
        const answer = await this.get(
          `/payments/status/${status}?page=${page}&limit=100&from=${since}`,
        );
        found.push(...(answer ? answer.list : []));
        page = answer ? answer.next : 0;
      }
    }
    return found;
  }

  async get(path) {
    let answer = await send("GET", path, await this.login());
    if (answer.status === 401) {
      // It was renewed by somebody else's call, or revoked: once more with a fresh one.
      this.token = null;
      answer = await send("GET", path, await this.login());
    }
    return answer.status === 404 ? null : read(answer);
  }

  async login() {
    const current = this.token && (await this.token.catch(() => null));
    if (!current || current.goodUntil <= performance.now()) this.token = fetchToken();
    return (await this.token).text;
  }
}

async function fetchToken() {
  const keys = { imp_key: process.env.IMP_KEY, imp_secret: process.env.IMP_SECRET };
  const told = await read(await send("POST", "/users/getToken", null, keys));
  const life = told.expired_at - told.now - RENEWED_BEFORE_SECONDS;
  return { text: told.access_token, goodUntil: performance.now() + life * 1000 };
}

async function send(method, path, token, keys) {
  const headers = {};
  if (token) headers.Authorization = token;
  if (keys) headers["Content-Type"] = "application/json";
  try {
    return await fetch(process.env.IMP_URL + path, {
      method,
      headers,
      body: keys && JSON.stringify(keys),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new Trouble(`${path}: ${error.name}`);
  }
}

async function read(answer) {
  let told = null;
  try {
    told = await answer.json();
  } catch (error) {
    throw new Trouble(`HTTP ${answer.status}: ${error.name}`);
  }
  if (answer.status !== 200 || told.code !== 0) throw new Trouble(`HTTP ${answer.status}`);
  return told.response;
}

module.exports = { Gateway, Trouble };
