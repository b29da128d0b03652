// Speaking with the gateway over HTTP, and with its window by messages that have an address and a
// sender.

var CALL_TIMEOUT_MS = 20000;

/**
 * One HTTP call. `done` is called once, also when nothing came back (status 0).
 * The body is text/plain, so that no pre-flight request delays the window.
 * @param {"GET" | "POST"} method
 * @param {string} url
 * @param {string | null} body
 * @param {(answer: Answer) => void} done
 */
function askGateway(method, url, body, done) {
  var request = new XMLHttpRequest();
  request.open(method, url, true);
  request.timeout = CALL_TIMEOUT_MS;
  // The browser's own JSON reader: the page's `JSON` may be somebody else's.
  request.responseType = "json";
  if (body !== null) request.setRequestHeader("Content-Type", "text/plain;charset=UTF-8");
  request.onloadend = function () {
    var answered = request.status && request.response && typeof request.response === "object";
    done(answered ? { status: request.status, body: request.response } : { status: 0, body: null });
  };
  request.send(body);
}

/**
 * Hear the messages of one payment window. A stranger's message changes nothing: not the gateway's
 * origin, not the window we opened, not this request, or not an object of this protocol.
 * @param {string} coreOrigin
 * @param {string} requestId
 * @param {(source: any) => boolean} isOurs is this the frame or popup that we opened?
 * @param {(message: any) => void} hear
 * @returns {() => void} stops listening
 */
function listenToWindow(coreOrigin, requestId, isOurs, hear) {
  /** @param {MessageEvent} event */
  function receive(event) {
    var message = event.data;
    if (event.origin !== coreOrigin) return;
    if (!event.source || !isOurs(event.source)) return;
    if (typeof message !== "object" || own(message, "protocol") !== "naru/1") return;
    if (own(message, "request_id") !== requestId) return;
    hear(message);
  }
  window.addEventListener("message", receive, false);
  return function () {
    window.removeEventListener("message", receive, false);
  };
}

/**
 * A name for one request that a stranger cannot guess.
 * @returns {string}
 */
function newRequestId() {
  var id = "req_" + new Date().getTime() + "_";
  var numbers = new Uint32Array(4);
  window.crypto.getRandomValues(numbers);
  for (var index = 0; index < numbers.length; index += 1) id += numbers[index].toString(36);
  return id;
}
