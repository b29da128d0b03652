/** What a card number tells before it is sent: its grouping, its brand, and whether it can be right. */

const BRANDS = [
  ["American Express", /^3[47]/, [4, 6, 5]],
  ["Diners Club", /^3(?:0[0-5]|[68])/, [4, 6, 4]],
  ["JCB", /^35(?:2[89]|[3-8])/, [4, 4, 4, 4]],
  ["Visa", /^4/, [4, 4, 4, 4]],
  ["Mastercard", /^(?:5[1-5]|2(?:2[2-9]|[3-6]|7[01]|720))/, [4, 4, 4, 4]],
  ["UnionPay", /^6[02]/, [4, 4, 4, 4]],
  // Korean cards that are only for use at home begin with 9.
  ["Local", /^9/, [4, 4, 4, 4]],
];

export function brandOf(number) {
  const digits = number.replace(/\D/g, "");
  const found = BRANDS.find(([, start]) => start.test(digits));
  return { name: found?.[0] ?? "", groups: found?.[2] ?? [4, 4, 4, 4] };
}

export function groupNumber(text) {
  const { groups } = brandOf(text);
  const digits = text.replace(/\D/g, "").slice(0, groups.reduce((a, b) => a + b));
  const parts = [];
  let at = 0;
  for (const size of groups) {
    if (at >= digits.length) break;
    parts.push(digits.slice(at, at + size));
    at += size;
  }
  return parts.join(" ");
}

export function lengthFits(digits) {
  return digits.length === brandOf(digits).groups.reduce((a, b) => a + b);
}

/** ISO/IEC 7812 check digit. */
export function checkDigitFits(digits) {
  let sum = 0;
  for (let place = 0; place < digits.length; place += 1) {
    let value = Number(digits[digits.length - 1 - place]);
    if (place % 2 === 1) value = value > 4 ? value * 2 - 9 : value * 2;
    sum += value;
  }
  return sum % 10 === 0;
}

/** "MM / YY" while it is typed; a first digit above 1 can only be a month of one digit. */
export function shapeExpiry(text) {
  let digits = text.replace(/\D/g, "").slice(0, 6);
  // Autofill in the wild also writes MM/YYYY.
  if (digits.length === 6 && digits.slice(2, 4) === "20") digits = digits.slice(0, 2) + digits.slice(4);
  if (/^[2-9]/.test(digits)) digits = `0${digits}`;
  digits = digits.slice(0, 4);
  return digits.length > 2 ? `${digits.slice(0, 2)} / ${digits.slice(2)}` : digits;
}

/** @returns {"malformed" | "past" | null} compared with the PG's clock, in Korean time. */
export function expiryProblem(mmyy, nowSeconds) {
  if (!/^(0[1-9]|1[0-2])\d\d$/.test(mmyy)) return "malformed";
  const now = new Date((nowSeconds + 9 * 3600) * 1000);
  const month = now.getUTCFullYear() * 12 + now.getUTCMonth();
  const printed = (2000 + Number(mmyy.slice(2))) * 12 + Number(mmyy.slice(0, 2)) - 1;
  return printed < month ? "past" : null;
}
