// What the merchant's page gave us, read without trusting the page's own globals: pages exist that
// extend Object.prototype, replace JSON, or load Prototype.js with its Array.prototype.toJSON.

var hasOwn = Object.prototype.hasOwnProperty;
var classOf = Object.prototype.toString;

var DEPTH_MAX = 24;
var VALUES_MAX = 20000;

/**
 * A property that the object has itself; what a poisoned prototype lends it is not a parameter.
 * @param {any} object
 * @param {string} key
 * @returns {any}
 */
function own(object, key) {
  if (object === null || object === undefined) return undefined;
  return hasOwn.call(object, key) ? object[key] : undefined;
}

/**
 * JSON as JSON.stringify would write it, from own properties only. Surrogates are escaped one by
 * one, so that a broken pair reaches the server as what it is and is refused there.
 * @param {any} value
 * @returns {string} throws an Error for what has no end (a cycle) or is far too large
 */
function toJson(value) {
  var count = 0;
  return write(value, 0) || "null";

  /** @param {any} item @param {number} depth @returns {string | undefined} */
  function write(item, depth) {
    count += 1;
    if (depth > DEPTH_MAX || count > VALUES_MAX) throw new Error("parameters nest too deep");
    if (item === null) return "null";
    var kind = classOf.call(item);
    if (kind === "[object String]") return quote(String(item));
    if (kind === "[object Number]") return isFinite(item) ? String(Number(item)) : "null";
    if (kind === "[object Boolean]") return String(item == true);
    if (kind === "[object Date]") return isFinite(+item) ? quote(item.toISOString()) : "null";
    if (typeof item !== "object") return undefined;
    var parts = "";
    var text;
    if (kind === "[object Array]") {
      for (var index = 0; index < item.length; index += 1) {
        parts += (index ? "," : "") + (write(item[index], depth + 1) || "null");
      }
      return "[" + parts + "]";
    }
    for (var key in item) {
      if (!hasOwn.call(item, key)) continue;
      text = write(item[key], depth + 1);
      if (text !== undefined) parts += (parts ? "," : "") + quote(key) + ":" + text;
    }
    return "{" + parts + "}";
  }
}

/**
 * @param {string} text
 * @returns {string}
 */
function quote(text) {
  return (
    '"' +
    text.replace(/["\\\u0000-\u001f\u007f\u2028\u2029\ud800-\udfff]/g, function (character) {
      return "\\u" + ("000" + character.charCodeAt(0).toString(16)).slice(-4);
    }) +
    '"'
  );
}

/**
 * The parameters with the defaults of i'mport's own SDK; the merchant's object is left as it is.
 * @param {any} param
 * @returns {{ [key: string]: any }}
 */
function withDefaults(param) {
  /** @type {{ [key: string]: any }} */
  var copy = {};
  for (var key in param) {
    // A plain assignment to `__proto__` would change the copy's prototype instead.
    if (hasOwn.call(param, key) && key !== "__proto__") copy[key] = param[key];
  }
  if (!own(copy, "merchant_uid")) copy.merchant_uid = "nobody_" + new Date().getTime();
  if (!own(copy, "pay_method")) copy.pay_method = "card";
  return copy;
}

/**
 * i'mport's own test: an iPad that asks for desktop pages is a PC.
 * @returns {Surface}
 */
function surfaceOf() {
  return /iPhone|iPad|iPod|Android|Mobile/.test(navigator.userAgent) ? "mobile" : "pc";
}

/**
 * The pg code this request will meet, as naru/domain/channel.py chooses it; "" while unknown.
 * The server chooses again and has the last word; we need it early because popups open in the click.
 * @param {{ [key: string]: any }} param
 * @param {Channel[] | null} channels null until the gateway has told them
 * @param {string} [kind] payment (unless it is said) or certification
 * @returns {string}
 */
function providerOf(param, channels, kind) {
  var pg = String(own(param, "pg") || "").split(".");
  var key = own(param, "channelKey");
  if (!channels) return key ? "" : pg[0];
  var fallback = "";
  var sameProvider = "";
  for (var index = 0; index < channels.length; index += 1) {
    var channel = channels[index];
    if (channel.type !== (kind || "payment")) continue;
    if (key && channel.channel_key === key) return channel.pg_provider;
    if (!fallback) fallback = channel.pg_provider;
    if (channel.pg_provider === pg[0]) sameProvider = pg[0];
  }
  return key ? "" : sameProvider || fallback;
}

/**
 * What the table says about this window, or null when only the gateway can say.
 * @param {string} provider
 * @param {{ [key: string]: any }} param
 * @param {Surface} surface
 * @returns {Mode | null}
 */
function modeOf(provider, param, surface) {
  var row = own(WINDOW_MODES, provider);
  if (!row) return null;
  var mode = surface === "mobile" ? row.mobile : row.pc;
  if (surface === "mobile" && row.byUrl && !own(param, "m_redirect_url")) mode = "iframe";
  if (row.popupParam && (own(param, "popup") === true || own(param, "naverPopupMode") === true)) {
    return "popup";
  }
  if (row.popupOff && own(param, "popup") === false && mode === "popup") return "iframe";
  return mode;
}

/** @type {{ [language: string]: Words }} */
var WORDS = {
  ko: {
    title: "결제창",
    close: "결제창 닫기",
    loading: "결제창을 불러오고 있습니다.",
    slow: "결제창이 열리지 않고 있습니다. 네트워크 상태를 확인해 주세요.",
    retry: "다시 시도",
    ask: "결제를 그만두시겠어요?",
    stay: "계속 결제하기",
    leave: "그만두기",
    checking: "결제 결과를 확인하고 있습니다. 다시 결제하지 마세요.",
    popup: "새 창에서 결제를 진행해 주세요.",
    show: "결제창으로 이동",
    cut: "다른 창에서 결제를 마치면 자동으로 이어집니다.",
    blocked: "팝업이 차단되어 결제창을 열지 못했습니다. 아래 버튼을 눌러 주세요.",
    open: "결제창 열기",
    here: "이 창에서 계속하기",
    brandpay: "토스페이 브랜드페이로 결제합니다. 아래의 결제 버튼을 눌러 주세요.",
    ui_PayPal: "PayPal",
    ui_card: "직불 또는 신용카드",
    ui_pay: "결제하기",
  },
  en: {
    title: "Payment window",
    close: "Close the payment window",
    loading: "Opening the payment window.",
    slow: "The payment window is not opening. Please check your network.",
    retry: "Try again",
    ask: "Do you want to stop this payment?",
    stay: "Continue paying",
    leave: "Stop",
    checking: "We are checking the result of your payment. Please do not pay again.",
    popup: "Please pay in the new window.",
    show: "Go to the payment window",
    cut: "Finish the payment in the other window; this page will go on by itself.",
    blocked: "Your browser blocked the payment window. Please press the button below.",
    open: "Open the payment window",
    here: "Continue on this page",
    brandpay: "You will pay with Toss BrandPay. Please press the pay button.",
    ui_PayPal: "PayPal",
    ui_card: "Debit or credit card",
    ui_pay: "Pay",
  },
  zh: {
    title: "支付窗口",
    close: "关闭支付窗口",
    loading: "正在打开支付窗口。",
    slow: "支付窗口无法打开，请检查网络。",
    retry: "重试",
    ask: "要放弃支付吗？",
    stay: "继续支付",
    leave: "放弃",
    checking: "正在确认支付结果，请勿重复支付。",
    popup: "请在新窗口中支付。",
    show: "前往支付窗口",
    cut: "在另一窗口完成支付后将自动继续。",
    blocked: "浏览器拦截了支付窗口，请点击下面的按钮。",
    open: "打开支付窗口",
    here: "在此页面继续",
    brandpay: "将使用 Toss BrandPay 支付，请点击支付按钮。",
    ui_PayPal: "PayPal",
    ui_card: "借记卡或信用卡",
    ui_pay: "支付",
  },
  ja: {
    title: "決済画面",
    close: "決済画面を閉じる",
    loading: "決済画面を読み込んでいます。",
    slow: "決済画面が開きません。ネットワークをご確認ください。",
    retry: "再試行",
    ask: "お支払いを中止しますか？",
    stay: "支払いを続ける",
    leave: "中止する",
    checking: "決済結果を確認しています。もう一度支払わないでください。",
    popup: "新しいウィンドウでお支払いください。",
    show: "決済画面へ移動",
    cut: "別のウィンドウで決済が終わると自動的に続きます。",
    blocked: "ポップアップがブロックされました。下のボタンを押してください。",
    open: "決済画面を開く",
    here: "この画面で続ける",
    brandpay: "トスペイのブランドペイで支払います。支払いボタンを押してください。",
    ui_PayPal: "PayPal",
    ui_card: "デビットカードまたはクレジットカード",
    ui_pay: "支払う",
  },
};

/**
 * @param {any} language i'mport's `language` (or `locale`): ko, en, zh, ja, jp …
 * @returns {string} one that we speak
 */
function languageOf(language) {
  var short = String(language || "ko").slice(0, 2).toLowerCase();
  if (short === "jp") return "ja";
  return own(WORDS, short) ? short : "ko";
}
