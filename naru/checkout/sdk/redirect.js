// Leaving the merchant's page: to the payment window, or back to m_redirect_url.

/**
 * Send the whole tab there; a shop inside a frame is left as a whole, because the window refuses to
 * be framed in this mode.
 * @param {string} url
 */
function goTo(url) {
  try {
    /** @type {Window} */ (window.top).location.href = url;
  } catch (error) {
    window.location.href = url;
  }
}

/**
 * Where the buyer goes when the window could not open and there is no callback to tell
 * (SDK facts §7): m_redirect_url, with its own query and #fragment kept, or the gateway's page.
 * @param {string} core
 * @param {any} returnUrl the merchant's m_redirect_url
 * @param {Result} result the failure
 * @param {string} flag what says in the query that it failed
 * @returns {string}
 */
function failureUrl(core, returnUrl, result, flag) {
  var usable = typeof returnUrl === "string" && /^https?:\/\//i.test(returnUrl);
  var url = usable ? String(returnUrl) : core + "/checkout/fail";
  var hash = url.indexOf("#");
  var fragment = hash < 0 ? "" : url.slice(hash);
  var rest = hash < 0 ? url : url.slice(0, hash);
  var joint = rest.indexOf("?") < 0 ? "?" : /[?&]$/.test(rest) ? "" : "&";
  var query = "imp_uid=" + queryText(result.imp_uid);
  if (usable) query += "&merchant_uid=" + queryText(result.merchant_uid) + "&" + flag + "=false";
  else query += "&success=false";
  query += "&error_code=" + queryText(result.error_code);
  query += "&error_msg=" + queryText(result.error_msg);
  return rest + joint + query + fragment;
}

/**
 * @param {any} value
 * @returns {string}
 */
function queryText(value) {
  if (value === null || value === undefined) return "";
  try {
    return encodeURIComponent(String(value));
  } catch (error) {
    return ""; // half of a surrogate pair has no place in an address
  }
}
