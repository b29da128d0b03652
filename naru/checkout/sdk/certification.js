// IMP.certification: a session as request_pay's, with a window and words of its own (SDK facts §8).

/** @type {WindowMode} */
var CERTIFICATION_WINDOW = {
  pc: "popup",
  mobile: "redirect",
  byUrl: false,
  popupParam: true,
  popupOff: false,
  name: "IMP_CERTIFICATION",
  size: [480, 840],
};

/**
 * A popup on every PC; a phone leaves the page unless it asks for a popup.
 * @param {{ [key: string]: any }} param
 * @param {Surface} surface
 * @returns {Mode}
 */
function certificationMode(param, surface) {
  var popup = own(param, "popup");
  return surface === "pc" || popup === true || popup === "true" ? "popup" : "redirect";
}

/** @type {{ [language: string]: Words }} */
var CERTIFICATION_WORDS = {
  ko: {
    title: "본인인증",
    close: "본인인증 닫기",
    loading: "본인인증 창을 불러오고 있습니다.",
    ask: "본인인증을 그만두시겠어요?",
    stay: "계속 인증하기",
    checking: "본인인증 결과를 확인하고 있습니다.",
    popup: "새 창에서 본인인증을 진행해 주세요.",
    show: "인증창으로 이동",
    cut: "다른 창에서 본인인증을 마치면 자동으로 이어집니다.",
    blocked: "팝업이 차단되어 인증창을 열지 못했습니다. 아래 버튼을 눌러 주세요.",
    open: "인증창 열기",
    noGateway: "인증 창 호출에 실패하였습니다. 네트워크 상태를 확인한 뒤 다시 시도해 주세요.",
    notKnown: "본인인증 결과를 아직 확인하지 못했습니다. 잠시 후 다시 시도해 주세요.",
  },
  en: {
    title: "Identity verification",
    close: "Close the verification",
    loading: "Opening the verification window.",
    ask: "Do you want to stop this verification?",
    stay: "Continue",
    checking: "We are checking the result of your verification.",
    popup: "Please verify yourself in the new window.",
    show: "Go to the verification window",
    cut: "Finish in the other window; this page will go on by itself.",
    blocked: "Your browser blocked the verification window. Please press the button below.",
    open: "Open the verification window",
    noGateway: "The verification window could not be opened. Please check your network and try again.",
    notKnown: "The result of your verification is not known yet. Please try again in a little while.",
  },
};

/**
 * The words of a payment, with those of a certification over them.
 * @param {string} language
 * @returns {Words}
 */
function certificationWords(language) {
  /** @type {Words} */
  var words = {};
  var own_ = CERTIFICATION_WORDS[language === "ko" ? "ko" : "en"];
  var common = WORDS[language === "ko" ? "ko" : "en"];
  for (var name in common) if (hasOwn.call(common, name)) words[name] = common[name];
  for (var other in own_) if (hasOwn.call(own_, other)) words[other] = own_[other];
  return words;
}
