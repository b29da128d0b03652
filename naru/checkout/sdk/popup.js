// The payment window as a popup. It must be opened inside the click, before the gateway has answered.

var POPUP_LOOK_MS = 200;

/**
 * Open an empty popup; null when the browser blocked it.
 * @param {WindowMode | undefined} row the PG's name and size for it
 * @param {string} url about:blank inside the first click
 * @param {string} text what the empty popup says until the window comes
 * @returns {Window | null}
 */
function openPopup(row, url, text) {
  var width = row ? row.size[0] : 720;
  var height = row ? row.size[1] : 720;
  var left = Math.max(0, (window.screenX || 0) + (window.outerWidth - width) / 2);
  var top_ = Math.max(0, (window.screenY || 0) + (window.outerHeight - height) / 3);
  var popup = null;
  try {
    popup = window.open(
      url,
      row ? row.name : "IMP_PAYMENT",
      "width=" + width + ",height=" + height + ",left=" + left + ",top=" + top_ +
        ",resizable=yes,scrollbars=yes"
    );
  } catch (error) {
    popup = null;
  }
  if (!popup || popup.closed) return null;
  if (url === "about:blank") {
    try {
      popup.document.title = text;
      popup.document.body.textContent = text;
    } catch (error) {
      // A popup of that name still shows a PG's page; it is about to be replaced anyway.
    }
  }
  return popup;
}

/**
 * @param {Window} popup
 * @param {() => void} closed called once
 * @returns {() => void} stops watching
 */
function watchPopup(popup, closed) {
  var timer = setInterval(function () {
    if (!popup.closed) return;
    clearInterval(timer);
    closed();
  }, POPUP_LOOK_MS);
  return function () {
    clearInterval(timer);
  };
}
