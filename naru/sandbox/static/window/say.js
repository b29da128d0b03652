/** The buyer's language: sentences, money and times. One strings file per language. */

export const LANGUAGES = { ko: "한국어", en: "English", zh: "中文", ja: "日本語" };
const LOCALES = { ko: "ko-KR", en: "en-GB", zh: "zh-CN", ja: "ja-JP" };

/** @returns {Promise<Speech>} Korean for a language nobody translated. */
export async function loadSpeech(language) {
  const known = language in LANGUAGES ? language : "ko";
  const strings = await import(`../strings/${known}.js`);
  return new Speech(known, strings.default);
}

export class Speech {
  constructor(language, strings) {
    this.language = language;
    this.strings = strings;
    this.locale = LOCALES[language];
  }

  /** The sentence for a key with `{names}` filled in, or `otherwise` when nobody wrote it. */
  sayOr(key, otherwise, values = {}) {
    const sentence = this.strings[key];
    if (sentence === undefined) return otherwise;
    return sentence.replace(/\{(\w+)\}/g, (all, name) => String(values[name] ?? all));
  }

  say(key, values) {
    return this.sayOr(key, key, values);
  }

  /** `[number, unit]` of an amount in minor units; the unit is before the number for most currencies. */
  money(minor, currency) {
    const style = { style: "currency", currency, currencyDisplay: "narrowSymbol" };
    const digits = new Intl.NumberFormat("en", style).resolvedOptions().maximumFractionDigits;
    return this.price(minor / 10 ** digits, currency);
  }

  /** An amount in major units. */
  price(major, currency) {
    if (currency === "KRW" && this.language === "ko") {
      return `${new Intl.NumberFormat("ko-KR").format(major)}원`;
    }
    const style = { style: "currency", currency, currencyDisplay: "narrowSymbol" };
    return new Intl.NumberFormat(this.locale, style).format(major);
  }

  /** The Korean calendar day of a moment in UNIX seconds. */
  day(seconds) {
    const options = { timeZone: "Asia/Seoul", year: "numeric", month: "long", day: "numeric" };
    return new Intl.DateTimeFormat(this.locale, options).format(new Date(seconds * 1000));
  }

  /** UNIX seconds as a Korean moment with weekday, named as such wherever the buyer sits. */
  moment(seconds) {
    const text = new Intl.DateTimeFormat(this.locale, {
      timeZone: "Asia/Seoul",
      year: "numeric",
      month: "long",
      day: "numeric",
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    }).format(new Date(seconds * 1000));
    return `${text} (KST)`;
  }
}
