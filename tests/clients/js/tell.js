// What every driver shares: the facts it is given, and one line of JSON for each call.
"use strict";

const facts = JSON.parse(process.env.NARU_FACTS);

/** Does `actual` hold everything that `wanted` names? A function is asked. */
function fits(wanted, actual) {
  if (typeof wanted === "function") {
    try {
      return Boolean(wanted(actual));
    } catch {
      return false;
    }
  }
  if (wanted === null || typeof wanted !== "object") return wanted === actual;
  if (actual === null || typeof actual !== "object") return false;
  return Object.keys(wanted).every((key) => fits(wanted[key], actual[key]));
}

const plain = (value) => (value === undefined ? null : JSON.parse(JSON.stringify(value)));

/**
 * Make one call of a client and tell what came of it.
 * @param {string} name the client's own name for it
 * @param {() => Promise<unknown>} ask
 * @param {unknown} wanted a part of what it must answer
 */
async function call(name, ask, wanted) {
  let answer = null;
  try {
    answer = plain(await ask());
  } catch (error) {
    tell({ call: name, fits: false, refused: refusalOf(error) });
    return null;
  }
  tell({ call: name, fits: fits(wanted, answer), answer });
  return answer;
}

/** The same, of a call that must be refused with these words in what the client throws. */
async function refused(name, ask, words) {
  try {
    tell({ call: name, fits: false, answer: plain(await ask()) });
  } catch (error) {
    const said = refusalOf(error);
    tell({ call: name, fits: said.includes(words), refused: said });
  }
}

function refusalOf(error) {
  const body = error && error.response && error.response.data;
  let said = String((error && error.message) || error);
  try {
    // Some clients throw the body as it came, with its \uXXXX.
    said = JSON.stringify(JSON.parse(said));
  } catch {
    // A sentence, then.
  }
  return [said, body ? JSON.stringify(body) : ""].join(" ");
}

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

let count = 0;
/** An order number that nobody else uses. */
const order = () => `${facts.prefix}${(count += 1)}`;
const now = () => Math.floor(Date.now() / 1000);

module.exports = { facts, call, refused, tell, order, now };
