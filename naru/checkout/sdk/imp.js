// window.IMP: what merchants call. One session is one request_pay, from the click to its callback.

var ALERT_NO_PARAM = "결제요청 파라메터가 누락되었습니다.";
var ALERT_NO_INIT = "판매자 코드가 설정되지 않았습니다. IMP.init()함수를 먼저 호출하세요.";
var ALERT_NO_INIT_NEW =
  "판매자 코드가 설정되지 않았습니다. IMP.init() 또는 IMP.agency() 함수를 먼저 호출하세요.";
var BAD_CONTAINER = "포트원 컨테이너가 올바른 DOM Element 형식이 아닙니다.";
var NO_GATEWAY =
  "결제 창 호출에 실패하였습니다. 네트워크 상태를 확인한 뒤 다시 시도해 주세요.";
var BAD_PARAM = "결제 요청 파라미터를 읽을 수 없습니다. 값이 너무 크거나 자기 자신을 포함하고 있습니다.";
var NOT_KNOWN_YET =
  "결제 결과를 아직 확인하지 못했습니다. 다시 결제하지 마시고 주문 상태를 확인해 주세요.";

var HELLO_WAIT_MS = 20000;
var POLL_MS = 1000;
var TRUTH_WAIT_MS = 120000;
var CLOSED_GRACE_MS = 400;

var core = coreOf();
var coreOrigin = core.replace(/^(https?:\/\/[^/]+).*$/i, "$1");

/** @type {{ userCode: string, tierCode: string | null, container: HTMLElement | null, channels: Channel[] | null }} */
var merchant = { userCode: "", tierCode: null, container: null, channels: null };

/** @type {Session | null} the open one; there is at most one */
var current = null;

/**
 * The gateway's address, from the address of this very file.
 * @returns {string} origin and path prefix, "" when it cannot be found
 */
function coreOf() {
  var pattern = /^(https?:\/\/.*?)\/(?:v1\/iamport|js\/iamport\.payment-[^/]*)\.js(?:[?#].*)?$/i;
  var running = /** @type {any} */ (document).currentScript;
  var found = running && pattern.exec(String(running.src));
  if (found) return found[1];
  var scripts = document.getElementsByTagName("script");
  for (var index = scripts.length - 1; index >= 0; index -= 1) {
    found = pattern.exec(scripts[index].src);
    if (found) return found[1];
  }
  return "";
}

/**
 * @param {any} text
 */
function complain(text) {
  if (window.console && console.error) console.error(text);
}

/**
 * @param {any} userCode `imp` and 8 digits
 * @param {string | null} tierCode
 */
function remember(userCode, tierCode) {
  if (typeof userCode !== "string" || !/^[A-Za-z0-9_-]{1,40}$/.test(userCode)) {
    complain("IMP.init: 가맹점 식별코드가 올바르지 않습니다.");
    return;
  }
  merchant.userCode = userCode;
  merchant.tierCode = tierCode;
  merchant.channels = null;
  var url = core + "/users/pg/" + userCode + (tierCode ? "?tier=" + tierCode : "");
  askGateway("GET", url, null, function (answer) {
    if (merchant.userCode !== userCode || merchant.tierCode !== tierCode) return;
    if (answer.status === 200 && own(answer.body, "code") === 0) {
      merchant.channels = answer.body.data;
      tellChannelsKnown();
    } else if (answer.status) {
      complain(own(answer.body, "msg"));
    }
  });
}

/**
 * @param {any} param
 * @param {any} callback
 * @param {"certification"} [asked] a payment unless it is said
 */
function begin(param, callback, asked) {
  if (current) giveUp(current, "replaced");

  /** @type {"payment" | "certification"} */
  var kind = asked || "payment";
  var given = withDefaults(param);
  var surface = surfaceOf();
  var language = languageOf(own(given, "language") || own(given, "locale"));
  var provider = providerOf(given, merchant.channels, kind);
  var row = asked ? CERTIFICATION_WINDOW : own(WINDOW_MODES, provider);
  var mode = asked ? certificationMode(given, surface) : modeOf(provider, given, surface);
  /** @type {Session} */
  var session = {
    kind: kind,
    row: row,
    requestId: newRequestId(),
    param: given,
    callback: callback,
    surface: surface,
    provider: provider || "default",
    words: asked ? certificationWords(language) : WORDS[language],
    language: language,
    dialog: null,
    popup: null,
    helloHeard: false,
    spoke: false,
    payment: null,
    givingUp: null,
    ended: false,
    cleanups: [],
  };
  current = session;
  // Before anything else: a browser lets a popup open only while the click is being handled.
  if (mode === "popup") {
    session.popup = openPopup(row, "about:blank", session.words.loading);
  }
  session.dialog = openDialog(
    merchant.container || document.body,
    surface,
    session.provider,
    mode === "popup",
    session.words,
    language,
    function () {
      giveUp(session, "closed");
    },
    kind
  );
  session.cleanups.push(
    listenToWindow(coreOrigin, session.requestId, isWindowOf(session), function (message) {
      hear(session, message);
    })
  );
  ask(session, mode === "popup" ? "popup" : null);
}

/**
 * @param {Session} session
 * @returns {(source: any) => boolean}
 */
function isWindowOf(session) {
  return function (source) {
    var frame = session.dialog && session.dialog.frame;
    return source === session.popup || (!!frame && source === frame.contentWindow);
  };
}

/**
 * Ask the gateway for a payment, and follow what it says.
 * @param {Session} session
 * @param {Mode | null} mode what we already did, or must do; null lets the gateway say
 */
function ask(session, mode) {
  var body = "";
  try {
    body = toJson({
      user_code: merchant.userCode,
      tier_code: merchant.tierCode,
      param: session.param,
      page_url: location.href,
      surface: session.surface,
      mode: mode,
      generation: GENERATION,
      request_id: session.requestId,
    });
  } catch (error) {
    finish(session, failureOf(session, "F400", BAD_PARAM), null);
    return;
  }
  askGateway("POST", core + "/checkout/" + session.kind + "s", body, function (answer) {
    var refused = own(answer.body, "error");
    if (answer.status === 200 && own(answer.body, "imp_uid")) {
      session.payment = answer.body;
      if (session.givingUp) abandon(session, session.givingUp);
      else follow(session, answer.body.mode, answer.body.window_url);
    } else if (refused) {
      finish(session, refused, session.givingUp ? null : own(answer.body, "redirect_url"));
    } else {
      finish(session, failureOf(session, "F500", session.words.noGateway || NO_GATEWAY), null);
    }
  });
}

/**
 * @param {Session} session
 * @param {Mode} mode
 * @param {string} url
 */
function follow(session, mode, url) {
  if (mode !== "popup") closePopup(session);
  if (mode === "redirect") {
    // The page ends here. Should it come back (the Back button), a new request_pay must work.
    end(session);
    goTo(url);
  } else if (mode === "popup") {
    followInPopup(session, url);
  } else if (session.dialog) {
    var shown = session.dialog;
    shown.load(url);
    watchFrame(session, shown);
    session.cleanups.push(
      later(HELLO_WAIT_MS, function () {
        if (session.helloHeard || session.givingUp) return;
        shown.notice(
          session.words.slow,
          [{ text: session.words.retry, press: function () { shown.load(url); } }],
          false
        );
      })
    );
  }
}

/**
 * Another page has come into the frame. Which one cannot be seen from here; but one that is not ours
 * while an approval is under way is the browser's own error page: the gateway died under it. So the
 * buyer reads that they must not pay again, until the gateway says how it stands.
 * @param {Session} session
 * @param {Dialog} dialog
 */
function watchFrame(session, dialog) {
  var asking = false;
  var covered = false;
  /** @type {any} */ (dialog.frame).addEventListener("load", function () {
    var ours = session.spoke;
    session.spoke = false;
    if (ours || asking || !session.helloHeard) return;
    asking = true;
    look();
  });

  function look() {
    if (session.ended || session.givingUp) return;
    callWindow(session, "result", null, function (answer) {
      if (session.ended || session.givingUp || told(session, answer)) return;
      // A page of ours that came meanwhile says it itself.
      var ours = session.spoke;
      session.spoke = false;
      var doubtful =
        answer.status === 0 || answer.status >= 500 || own(answer.body, "state") === "checking";
      if (doubtful && !ours) {
        if (!covered) dialog.notice(session.words.checking, [], true);
        covered = true;
      } else {
        if (covered) dialog.ready();
        covered = asking = false;
      }
      if (asking) session.cleanups.push(later(POLL_MS, look));
    });
  }
}

/**
 * @param {Session} session
 * @param {string} url
 */
function followInPopup(session, url) {
  var dialog = /** @type {Dialog} */ (session.dialog);
  var words = session.words;
  var popup = session.popup;
  if (!popup || popup.closed) {
    offerPopup(session, url);
    return;
  }
  popup.location.replace(url);
  dialog.notice(
    words.popup,
    [{ text: words.show, press: function () { if (session.popup) session.popup.focus(); } }],
    true
  );
  session.cleanups.push(
    watchPopup(popup, function () {
      // A last message may still be on its way.
      later(CLOSED_GRACE_MS, function () {
        if (session.ended || session.givingUp) return;
        if (session.helloHeard) giveUp(session, "closed");
        else waitForCutPopup(session);
      });
    })
  );
}

/**
 * The browser blocked the popup: the buyer opens it with a click of their own, or goes on here.
 * @param {Session} session
 * @param {string} url
 */
function offerPopup(session, url) {
  var dialog = /** @type {Dialog} */ (session.dialog);
  var words = session.words;
  var buttons = [
    {
      text: words.open,
      press: function () {
        session.popup = openPopup(session.row, "about:blank", words.loading);
        if (session.popup) followInPopup(session, url);
      },
    },
  ];
  if (own(session.param, "m_redirect_url")) {
    buttons.push({
      text: words.here,
      press: function () {
        continueHere(session);
      },
    });
  }
  dialog.notice(words.blocked, buttons, false);
}

/**
 * Give the popup's payment back and open another one that redirects.
 * @param {Session} session
 */
function continueHere(session) {
  var dialog = /** @type {Dialog} */ (session.dialog);
  dialog.notice(session.words.loading, [], true);
  callWindow(session, "abandon", { reason: "popup_blocked" }, function () {
    session.payment = null;
    ask(session, "redirect");
  });
}

/**
 * A popup that looks closed but never spoke to us: the page's opener policy cut it off. Ask the
 * gateway how it ends; the buyer may give up at any time.
 * @param {Session} session
 */
function waitForCutPopup(session) {
  var dialog = /** @type {Dialog} */ (session.dialog);
  dialog.notice(
    session.words.cut,
    [
      { text: session.words.open, press: reopen },
      { text: session.words.leave, press: dialog.ask },
    ],
    true
  );
  poll(session, null);

  function reopen() {
    var payment = session.payment;
    if (payment) openPopup(session.row, payment.window_url, "");
  }
}

/**
 * What the payment window says; its sender was checked.
 * @param {Session} session
 * @param {any} message
 */
function hear(session, message) {
  var payment = session.payment;
  if (!payment || session.ended) return;
  var type = own(message, "type");
  if (type === "hello" && own(message, "imp_uid") === payment.imp_uid) {
    session.helloHeard = session.spoke = true;
    if (session.dialog && session.dialog.frame) session.dialog.ready();
  } else if (type === "closing" && session.dialog) {
    session.dialog.ask();
  } else if (type === "result" && own(message, "imp_uid") === payment.imp_uid) {
    finish(session, own(message, "result"), own(message, "redirect_url"));
  } else if (type === "ended" && own(message, "imp_uid") === payment.imp_uid) {
    // A page without an origin cannot be told so that nobody else hears it: it asks.
    askHowItEnded(session);
  }
}

/**
 * The window has ended without saying how: ask, with the secret that only this page holds.
 * @param {Session} session
 */
function askHowItEnded(session) {
  callWindow(session, "result", null, function (answer) {
    if (!session.ended && !told(session, answer)) poll(session, new Date().getTime() + TRUTH_WAIT_MS);
  });
}

/**
 * The buyer gives up, or another request_pay takes the place. The gateway knows the truth: an
 * approval that is already under way cannot be given up any more.
 * @param {Session} session
 * @param {string} reason closed | replaced
 */
function giveUp(session, reason) {
  if (session.ended || session.givingUp) return;
  session.givingUp = reason;
  closePopup(session);
  if (reason === "replaced") {
    closeDialog(session);
    if (current === session) current = null;
  } else if (session.dialog) {
    session.dialog.notice(session.words.checking, [], true);
  }
  if (session.payment) abandon(session, reason);
}

/**
 * @param {Session} session
 * @param {string} reason
 */
function abandon(session, reason) {
  callWindow(session, "abandon", { reason: reason }, function (answer) {
    if (!told(session, answer)) poll(session, new Date().getTime() + TRUTH_WAIT_MS);
  });
}

/**
 * Ask for the result each second until it is final.
 * @param {Session} session
 * @param {number | null} until a time in ms; null: for as long as the buyer waits
 */
function poll(session, until) {
  session.cleanups.push(
    later(POLL_MS, function () {
      // Giving up starts its own, limited asking.
      if (session.ended || (until === null && session.givingUp)) return;
      callWindow(session, "result", null, function (answer) {
        if (session.ended || told(session, answer)) return;
        if (until !== null && new Date().getTime() > until) {
          finish(session, failureOf(session, "F500", session.words.notKnown || NOT_KNOWN_YET), null);
        } else {
          poll(session, until);
        }
      });
    })
  );
}

/**
 * @param {Session} session
 * @param {Answer} answer of `result` or `abandon`
 * @returns {boolean} true when it was final
 */
function told(session, answer) {
  if (answer.status !== 200 || own(answer.body, "state") !== "final") return false;
  finish(session, own(answer.body, "result"), own(answer.body, "redirect_url"));
  return true;
}

/**
 * @param {Session} session
 * @param {"result" | "abandon"} what
 * @param {{ [key: string]: string } | null} fields
 * @param {(answer: Answer) => void} done
 */
function callWindow(session, what, fields, done) {
  var payment = session.payment;
  if (!payment) return;
  var url =
    core + "/checkout/" + session.kind + "s/" + encodeURIComponent(payment.imp_uid) + "/" + what;
  if (fields) {
    fields.token = payment.token;
    askGateway("POST", url, toJson(fields), done);
  } else {
    askGateway("GET", url + "?token=" + encodeURIComponent(payment.token), null, done);
  }
}

/**
 * The one way a session ends with a result: first the dialog goes, then the callback is called.
 * @param {Session} session
 * @param {Result} result
 * @param {any} redirectUrl non-null: the result goes there, and not to the callback
 */
function finish(session, result, redirectUrl) {
  if (session.ended) return;
  end(session);
  if (typeof redirectUrl === "string" && redirectUrl) {
    goTo(redirectUrl);
    return;
  }
  var failed = own(result, "error_code") || own(result, "error_msg");
  later(0, function () {
    if (typeof session.callback === "function") {
      session.callback.call({}, result);
    } else if (failed && session.surface === "mobile") {
      var flag = session.kind === "certification" ? "success" : "imp_success";
      goTo(failureUrl(core, own(session.param, "m_redirect_url"), result, flag));
    } else if (failed) {
      complain("[" + own(result, "error_code") + "] " + own(result, "error_msg"));
    }
  });
}

/**
 * @param {Session} session
 */
function end(session) {
  session.ended = true;
  for (var index = 0; index < session.cleanups.length; index += 1) session.cleanups[index]();
  closePopup(session);
  closeDialog(session);
  if (current === session) current = null;
}

/**
 * @param {Session} session
 */
function closeDialog(session) {
  if (session.dialog) session.dialog.remove();
  session.dialog = null;
}

/**
 * @param {Session} session
 */
function closePopup(session) {
  if (session.popup && !session.popup.closed) session.popup.close();
  session.popup = null;
}

/**
 * A failure that the gateway could not word, in the shape of this generation (SDK facts §6).
 * @param {Session} session
 * @param {string} code
 * @param {string} text
 * @returns {Result}
 */
function failureOf(session, code, text) {
  /** @type {Result} */
  var result = {
    imp_uid: session.payment ? session.payment.imp_uid : null,
    merchant_uid: own(session.param, "merchant_uid"),
    error_code: code,
    error_msg: text,
  };
  if (GENERATION === "old" || session.kind === "certification") result.success = false;
  return result;
}

/**
 * @param {number} ms
 * @param {() => void} run
 * @returns {() => void} forgets it
 */
function later(ms, run) {
  var timer = setTimeout(run, ms);
  return function () {
    clearTimeout(timer);
  };
}

/**
 * `request_pay` before `init`.
 * @returns {any}
 */
function refuseUninitialised() {
  if (GENERATION === "old") {
    window.alert(ALERT_NO_INIT);
    return undefined;
  }
  window.alert(ALERT_NO_INIT_NEW);
  complain(ALERT_NO_INIT_NEW);
  var promise = /** @type {any} */ (window).Promise;
  return promise ? promise.reject({ error_msg: ALERT_NO_INIT_NEW }) : undefined;
}

var IMP = {
  /** which file this is: generation and gateway */
  naru: "",

  /** @param {any} userCode @param {any} [options] */
  init: function (userCode, options) {
    var container = own(options, "pgIframeContainer");
    if (container !== undefined && !(container && container.nodeType === 1)) {
      complain(BAD_CONTAINER);
      container = undefined;
    }
    merchant.container = container || null;
    remember(userCode, null);
  },

  /** @param {any} userCode @param {any} tierCode three of `[A-Z0-9]` */
  agency: function (userCode, tierCode) {
    var fits = typeof tierCode === "string" && /^[A-Z0-9]{3}$/.test(tierCode);
    if (!fits) complain("IMP.agency: 하위 가맹점 식별코드(tierCode)가 올바르지 않습니다.");
    remember(userCode, fits ? tierCode : null);
  },

  /** @param {any} param @param {any} [callback] @returns {any} */
  request_pay: function (param, callback) {
    if (param === null || typeof param !== "object") {
      window.alert(ALERT_NO_PARAM);
      return false;
    }
    if (!merchant.userCode) return refuseUninitialised();
    begin(param, callback);
    return undefined;
  },

  /** @param {any} param @param {any} [callback] @returns {any} */
  certification: function (param, callback) {
    if (param === null || typeof param !== "object") {
      window.alert(ALERT_NO_PARAM);
      return false;
    }
    if (!merchant.userCode) return refuseUninitialised();
    begin(param, callback, "certification");
    return undefined;
  },

  /** @param {any} uiType @param {any} param @param {any} [callback] @returns {any} */
  loadUI: function (uiType, param, callback) {
    if (!merchant.userCode) return refuseUninitialised();
    loadUI(uiType, param, callback);
    return undefined;
  },

  /** @param {any} uiType @param {any} param */
  updateLoadUIRequest: function (uiType, param) {
    if (merchant.userCode) updateLoadUIRequest(uiType, param);
  },

  /** @param {any} param @returns {any} */
  naver_zzim: function (param) {
    if (param === null || typeof param !== "object") {
      window.alert(ALERT_NO_PARAM);
      return false;
    }
    if (!merchant.userCode) return refuseUninitialised();
    openWishes(param);
    return undefined;
  },

  /** @param {any} moduleType @param {any} whose @param {any} [options] @returns {any} */
  loadModule: function (moduleType, whose, options) {
    return loadModule(moduleType, whose, options);
  },

  /** @param {any} data */
  communicate: function (data) {
    var frame = current && current.dialog && current.dialog.frame;
    if (frame && frame.contentWindow) frame.contentWindow.postMessage(toJson(data), coreOrigin);
  },

  close: function () {
    if (current) giveUp(current, "closed");
  },

  deinit: function () {
    if (current) giveUp(current, "replaced");
  },
};

(function publish() {
  var marker = GENERATION + " " + core;
  // Pages load the file twice. The first one may hold an open window, so it stays.
  if (window.IMP && own(window.IMP, "naru") === marker) return;
  if (window.IMP && own(window.IMP, "naru")) window.IMP.deinit();
  IMP.naru = marker;
  if (!core) complain("IMP: SDK 파일의 주소에서 결제 서버를 찾을 수 없습니다.");
  window.IMP = IMP;
})();
