// loadModule: Toss's BrandPay, a shop's own wallet with a password and cards (SDK facts §9).

var NO_PROMISE = "IMP.loadModule: 이 브라우저는 Promise를 지원하지 않습니다.";
var NO_BRANDPAY = "토스페이먼츠 브랜드페이(toss_brandpay) 채널을 찾을 수 없습니다.";
var NO_CUSTOMER_KEY = "customerKey 는 필수 입력입니다.";
var BRANDPAY_LEFT = "사용자가 브랜드페이 화면을 닫았습니다.";

/** @type {WindowMode} */
var WALLET_WINDOW = {
  pc: "popup",
  mobile: "popup",
  byUrl: false,
  popupParam: false,
  popupOff: false,
  name: "IMP_TOSS_BRANDPAY",
  size: [480, 720],
};

/**
 * @param {any} moduleType
 * @param {any} whose `{userCode, tierCode}`; else those of `init`
 * @param {any} options `customerKey` (or `customer_id`), `language`
 * @returns {any} a promise of the module's three functions
 */
function loadModule(moduleType, whose, options) {
  var Promise_ = /** @type {any} */ (window).Promise;
  if (!Promise_) {
    complain(NO_PROMISE);
    return undefined;
  }
  var userCode = own(whose, "userCode") || merchant.userCode;
  var tierCode = own(whose, "tierCode") || (own(whose, "userCode") ? null : merchant.tierCode);
  var customerKey = own(options, "customerKey") || own(options, "customer_id");
  return new Promise_(function (/** @type {any} */ resolve, /** @type {any} */ reject) {
    if (moduleType !== "toss-brandpay") {
      reject(moduleError("BadRequest", "지원하지 않는 모듈 타입(" + moduleType + ") 입니다."));
    } else if (!userCode) {
      reject(moduleError("BadRequest", ALERT_NO_INIT_NEW));
    } else if (!customerKey) {
      reject(moduleError("BadRequest", NO_CUSTOMER_KEY));
    } else {
      var url = core + "/users/pg/" + encodeURIComponent(String(userCode));
      if (tierCode) url += "?tier=" + encodeURIComponent(String(tierCode));
      askGateway("GET", url, null, function (answer) {
        var channels = own(answer.body, "data") || [];
        for (var index = 0; index < channels.length; index += 1) {
          if (own(channels[index], "pg_provider") === "toss_brandpay") {
            resolve(walletOf(Promise_, String(userCode), tierCode, String(customerKey), options));
            return;
          }
        }
        if (answer.status === 200) reject(moduleError("BadRequest", NO_BRANDPAY));
        else reject(moduleError("UnknownError", own(answer.body, "msg") || NO_GATEWAY));
      });
    }
  });
}

/**
 * @param {string} code
 * @param {string} message
 */
function moduleError(code, message) {
  return { code: code, message: message };
}

/**
 * @param {any} Promise_
 * @param {string} userCode
 * @param {any} tierCode
 * @param {string} customerKey
 * @param {any} options
 */
function walletOf(Promise_, userCode, tierCode, customerKey, options) {
  /** @type {{ [act: string]: () => any }} */
  var wallet = {};
  var acts = ["setupPassword", "getPaymentMethods", "openSettings"];
  for (var index = 0; index < acts.length; index += 1) wallet[acts[index]] = visit(acts[index]);
  return wallet;

  /** @param {string} act */
  function visit(act) {
    return function () {
      return new Promise_(function (/** @type {any} */ resolve, /** @type {any} */ reject) {
        openWallet(userCode, tierCode, { customerKey: customerKey, act: act }, options, resolve, reject);
      });
    };
  }
}

/**
 * The PG's page in a popup, opened inside the click; it tells us how the visit ended.
 * @param {string} userCode
 * @param {any} tierCode
 * @param {{ [key: string]: any }} param
 * @param {any} options
 * @param {(result: any) => void} resolve
 * @param {(error: any) => void} reject
 */
function openWallet(userCode, tierCode, param, options, resolve, reject) {
  var words = WORDS[languageOf(own(options, "language") || own(options, "locale"))];
  var popup = openPopup(WALLET_WINDOW, "about:blank", words.loading);
  if (!popup) {
    reject(moduleError("UnknownError", words.blocked));
    return;
  }
  var opened = popup;
  param.request_id = newRequestId();
  var body = toJson({
    user_code: userCode,
    tier_code: tierCode || null,
    param: param,
    page_url: location.href,
    surface: surfaceOf(),
    mode: null,
    generation: GENERATION,
    request_id: param.request_id,
  });
  askGateway("POST", core + "/checkout/wallets", body, function (answer) {
    var url = own(answer.body, "url");
    if (answer.status !== 200 || typeof url !== "string") {
      opened.close();
      var code = answer.status >= 400 && answer.status < 500 ? "BadRequest" : "UnknownError";
      reject(moduleError(code, own(answer.body, "error_msg") || NO_GATEWAY));
      return;
    }
    var origin = url.replace(/^(https?:\/\/[^/]+).*$/i, "$1");
    var stop = listenToWindow(origin, param.request_id, isPopup, function (message) {
      stop();
      stopWatching();
      resolve(own(message, "result") || undefined);
    });
    var stopWatching = watchPopup(opened, function () {
      // Its last message may still be on its way.
      later(CLOSED_GRACE_MS, function () {
        stop();
        reject(moduleError("USER_CANCEL", BRANDPAY_LEFT));
      });
    });
    if (!opened.closed) opened.location.replace(url);
  });

  /** @param {any} source */
  function isPopup(source) {
    return source === opened;
  }
}
