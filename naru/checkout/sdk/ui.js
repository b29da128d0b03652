// loadUI: buttons of a PG inside the merchant's own page. A press is a request_pay with what the
// page gave last (SDK facts §9).

var NO_UI_TYPE = "UI 타입은 필수 입력입니다.";
var NO_UI_PG = "pg 파라미터는 필수 입력입니다.";
var NO_UI_HOLDER = "portone-ui-container를 찾을 수 없습니다.";
var WRONG_UI_HOLDER = "data-portone-ui-type에 올바른 UI 타입을 입력해주세요.";
var TWO_UI_HOLDERS = "동일한 data-portone-ui-type을 갖는 DOM element가 2개 이상 존재합니다.";
var UI_NOT_LOADED = "IMP.updateLoadUIRequest: 먼저 IMP.loadUI()함수를 호출하세요.";

/** @type {{ [uiType: string]: { providers: string[], issues: boolean, labels: string[], look: string } }} */
var UI_TYPES = {
  "paypal-spb": { providers: ["paypal_v2"], issues: false, labels: ["PayPal", "card"], look: "gold" },
  "paypal-rt": { providers: ["paypal_v2"], issues: true, labels: ["PayPal"], look: "gold" },
  "toss-brandpay-widget": { providers: ["toss_brandpay"], issues: false, labels: [], look: "plain" },
  "payment-bridge": {
    providers: ["danal_tpay", "uplus", "kcp"],
    issues: false,
    labels: ["pay"],
    look: "plain",
  },
};
var BRANDPAY_BUTTON = "portone-toss-brandpay-widget-button";

/** What a press on each loaded UI asks for. @type {{ [uiType: string]: { param: any, callback: any } }} */
var loaded = {};

/** Run once the gateway has told this merchant's channels. @param {() => void} run */
function whenChannelsKnown(run) {
  if (merchant.channels) run();
  else waiting.push(run);
}

/** @type {Array<() => void>} */
var waiting = [];

function tellChannelsKnown() {
  var now = waiting;
  waiting = [];
  for (var index = 0; index < now.length; index += 1) now[index]();
}

/**
 * @param {any} uiType
 * @param {any} param
 * @returns {string | null} why this cannot be shown, in i'mport's words
 */
function uiRefusal(uiType, param) {
  if (!uiType) return NO_UI_TYPE;
  var row = own(UI_TYPES, String(uiType));
  if (!row) return "지원하지 않는 UI 타입(" + uiType + ")입니다.";
  if (!own(param, "pg") && !own(param, "channelKey")) return NO_UI_PG;
  var provider = providerOf(param, merchant.channels);
  var shown = provider || String(own(param, "pg") || own(param, "channelKey"));
  if (row.providers.indexOf(provider) < 0) {
    var allowed = [];
    for (var name in UI_TYPES) {
      if (own(UI_TYPES, name) && UI_TYPES[name].providers.indexOf(provider) >= 0) allowed.push(name);
    }
    return allowed.length
      ? "해당 PG사(" + shown + ")의 UI 타입은 " + allowed.join(", ") + "만 허용됩니다."
      : "해당 PG사(" + shown + ")는 UI 로딩을 지원하지 않습니다.";
  }
  var issues = !!own(param, "customer_uid");
  if (issues && !row.issues) {
    return "요청하신 UI 타입(" + uiType + ")은 빌링키 발급을 지원하지 않습니다.";
  }
  if (!issues && row.issues) {
    return "요청하신 UI 타입(" + uiType + ")은 일반결제를 지원하지 않습니다.";
  }
  return null;
}

/**
 * @param {string} uiType
 * @returns {HTMLElement | string} where the page wants it, or why there is no such place
 */
function uiHolder(uiType) {
  var all = document.querySelectorAll(".portone-ui-container");
  /** @type {HTMLElement[]} */
  var fitting = [];
  for (var index = 0; index < all.length; index += 1) {
    if (all[index].getAttribute("data-portone-ui-type") === uiType) {
      fitting.push(/** @type {HTMLElement} */ (all[index]));
    }
  }
  if (!all.length) return NO_UI_HOLDER;
  if (!fitting.length) return WRONG_UI_HOLDER;
  return fitting.length > 1 ? TWO_UI_HOLDERS : fitting[0];
}

/**
 * @param {any} uiType
 * @param {any} param
 * @param {any} callback
 */
function loadUI(uiType, param, callback) {
  whenChannelsKnown(function () {
    var why = uiRefusal(uiType, param);
    var holder = why ? null : uiHolder(uiType);
    if (why || typeof holder === "string") {
      refuseUI(param, callback, /** @type {string} */ (why || holder));
      return;
    }
    loaded[uiType] = { param: param, callback: callback };
    draw(/** @type {HTMLElement} */ (holder), uiType);
  });
}

/**
 * @param {any} uiType
 * @param {any} param
 */
function updateLoadUIRequest(uiType, param) {
  whenChannelsKnown(function () {
    var standing = own(loaded, String(uiType));
    if (!standing) {
      complain(UI_NOT_LOADED);
      return;
    }
    var why = uiRefusal(uiType, param);
    if (why) refuseUI(param, standing.callback, why);
    else standing.param = param;
  });
}

/**
 * @param {any} param
 * @param {any} callback
 * @param {string} why
 */
function refuseUI(param, callback, why) {
  later(0, function () {
    if (typeof callback !== "function") {
      complain(why);
      return;
    }
    /** @type {Result} */
    var result = {
      imp_uid: null,
      merchant_uid: own(param, "merchant_uid"),
      error_code: "F400",
      error_msg: why,
    };
    if (GENERATION === "old") result.success = false;
    callback.call({}, result);
  });
}

/**
 * @param {HTMLElement} holder
 * @param {string} uiType
 */
function draw(holder, uiType) {
  var row = UI_TYPES[uiType];
  var param = loaded[uiType].param;
  var words = WORDS[languageOf(own(param, "language") || own(param, "locale"))];
  while (holder.firstChild) holder.removeChild(holder.firstChild);
  addStyle(holder.getRootNode ? holder.getRootNode() : document);
  var box = addElement("div", "imp-ui imp-ui-" + row.look, holder);
  box.lang = languageOf(own(param, "language") || own(param, "locale"));
  if (uiType === "toss-brandpay-widget") {
    var line = addElement("p", "imp-ui-text", box);
    line.appendChild(document.createTextNode(words.brandpay));
    // The pay button stands in the merchant's page, and may be put there after us.
    document.removeEventListener("click", pressedBrandpay, false);
    document.addEventListener("click", pressedBrandpay, false);
    return;
  }
  for (var index = 0; index < row.labels.length; index += 1) {
    var label = row.labels[index];
    addButton(box, { text: words["ui_" + label] || label, press: press(uiType) }, false);
  }
}

/** @param {MouseEvent} event */
function pressedBrandpay(event) {
  var node = /** @type {any} */ (event.target);
  while (node && node.id !== BRANDPAY_BUTTON) node = node.parentNode;
  if (node && own(loaded, "toss-brandpay-widget")) press("toss-brandpay-widget")();
}

/**
 * @param {string} uiType
 * @returns {() => void}
 */
function press(uiType) {
  return function () {
    var standing = own(loaded, uiType);
    if (standing) begin(standing.param, standing.callback);
  };
}
