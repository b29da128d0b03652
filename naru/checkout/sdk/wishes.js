// naver_zzim: a PG's page on which a person keeps the shop's products in mind (SDK facts §2).

var ANOTHER_PG = "네이버페이 주문형으로 다시 시도해주세요.";
var WISH_FAILED = "찜하기 화면을 열지 못하였습니다. 잠시 후 다시 시도해 주세요.";

/** @type {WindowMode} */
var WISH_WINDOW = {
  pc: "popup",
  mobile: "popup",
  byUrl: false,
  popupParam: false,
  popupOff: false,
  name: "IMP_NAVER_ZZIM",
  size: [480, 640],
};

/** @param {any} param */
function openWishes(param) {
  var given = withDefaults(param);
  if (!own(given, "pg") && !own(given, "channelKey")) given.pg = "naverco";
  var pg = String(own(given, "pg") || "").split(".")[0];
  if (pg && pg !== "naverco") {
    window.alert(ANOTHER_PG);
    return;
  }
  var words = WORDS[languageOf(own(given, "language") || own(given, "locale"))];
  // Inside the click; a browser that blocks it sends the page itself there.
  var popup = openPopup(WISH_WINDOW, "about:blank", words.loading);
  var body = "";
  try {
    body = toJson({
      user_code: merchant.userCode,
      tier_code: merchant.tierCode,
      param: given,
      page_url: location.href,
      surface: surfaceOf(),
      mode: null,
      generation: GENERATION,
      request_id: newRequestId(),
    });
  } catch (error) {
    refuseWishes(popup, BAD_PARAM);
    return;
  }
  askGateway("POST", core + "/checkout/wishes", body, function (answer) {
    var url = own(answer.body, "url");
    if (answer.status !== 200 || typeof url !== "string") {
      refuseWishes(popup, own(answer.body, "error_msg") || WISH_FAILED);
    } else if (popup && !popup.closed) {
      popup.location.replace(url);
    } else {
      goTo(url);
    }
  });
}

/**
 * @param {Window | null} popup
 * @param {string} why
 */
function refuseWishes(popup, why) {
  if (popup && !popup.closed) popup.close();
  window.alert(why);
}
