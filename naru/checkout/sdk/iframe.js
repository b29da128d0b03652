// The dialog in the merchant's page that holds the payment window. Its class names are i'mport's:
// merchants style them. Our own rules weigh as little as one element's name, so that theirs win.

var STYLE = [
  // What a page says of every button, div or iframe is meant for its own.
  [".imp-dialog, .imp-dialog *, .imp-ui, .imp-ui *", "all:revert"],
  [".imp-dialog", "position:fixed;top:0;right:0;bottom:0;left:0;z-index:99999;margin:0;padding:0;background:rgba(5,20,18,.55);font:16px/1.5 -apple-system,BlinkMacSystemFont,'Apple SD Gothic Neo','Malgun Gothic','Noto Sans KR',sans-serif;color:#14211f;text-align:left"],
  [".imp-dialog .imp-box", "position:absolute;top:50%;left:50%;transform:translate(-50%,-50%);width:840px;height:816px;max-width:calc(100% - 32px);max-height:calc(100% - 32px);display:flex;flex-direction:column"],
  [".imp-dialog.popup .imp-box", "height:auto;width:420px"],
  [".imp-dialog.mobile .imp-box", "top:0;left:0;transform:none;width:100%;height:100%;max-width:none;max-height:none;background:#fff;padding-bottom:env(safe-area-inset-bottom)"],
  [".imp-dialog .imp-header", "flex:none;display:flex;justify-content:flex-end;align-items:center;height:44px;margin-bottom:8px"],
  [".imp-dialog.mobile .imp-header", "margin-bottom:0"],
  [".imp-dialog button", "min-width:44px;min-height:44px;margin:0;padding:0 18px;border:0;border-radius:10px;background:#eef1f2;color:inherit;font:inherit;font-weight:600;cursor:pointer"],
  [".imp-dialog button:focus-visible", "outline:3px solid #0a58ca;outline-offset:-3px"],
  [".imp-dialog .imp-close", "padding:0;border-radius:22px;background:#14211f;color:#fff;font-size:24px;line-height:1;font-weight:400"],
  [".imp-dialog.mobile .imp-close", "background:transparent;color:inherit"],
  [".imp-dialog .imp-main", "position:relative;flex:1;min-height:0;overflow:hidden;background:#fff;border-radius:16px;box-shadow:0 24px 80px rgba(0,0,0,.35)"],
  [".imp-dialog.mobile .imp-main", "border-radius:0;box-shadow:none"],
  [".imp-dialog .imp-frame", "display:block;width:100%;height:100%;border:0;border-radius:inherit"],
  [".imp-dialog .imp-notice", "position:absolute;top:0;right:0;bottom:0;left:0;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:20px;padding:24px;background:#fff;text-align:center"],
  [".imp-dialog.popup .imp-notice", "position:static;min-height:176px;padding:36px 24px"],
  [".imp-dialog .imp-text", "margin:0;max-width:26em;word-break:keep-all;overflow-wrap:anywhere"],
  [".imp-dialog .imp-busy", "width:32px;height:32px;border:4px solid #dbe2e1;border-top-color:#0b6a5d;border-radius:50%;animation:imp-turn 1s linear infinite"],
  [".imp-dialog .imp-buttons", "display:flex;flex-wrap:wrap;justify-content:center;gap:10px"],
  [".imp-dialog button.imp-first", "background:#0b6a5d;color:#fff"],
  [".imp-dialog .imp-ask", "position:absolute;top:0;right:0;bottom:0;left:0;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:20px;padding:24px;background:#fff;text-align:center;font-size:18px;font-weight:600"],
  [".imp-ui", "display:flex;flex-direction:column;gap:10px;font:16px/1.5 -apple-system,BlinkMacSystemFont,'Apple SD Gothic Neo','Malgun Gothic','Noto Sans KR',sans-serif"],
  [".imp-ui button", "min-height:48px;margin:0;padding:0 18px;border:1px solid rgba(0,0,0,.2);border-radius:10px;background:#14211f;color:#fff;font:inherit;font-weight:700;cursor:pointer"],
  [".imp-ui button:focus-visible", "outline:3px solid #0a58ca;outline-offset:2px"],
  [".imp-ui-gold button:first-child", "background:#ffc439;color:#10264b;font-style:italic"],
  [".imp-ui .imp-ui-text", "margin:0;padding:14px 18px;border:1px solid rgba(120,130,130,.5);border-radius:10px;color:inherit"],
];
var STYLE_EXTRA =
  "@keyframes imp-turn{to{transform:rotate(360deg)}}" +
  "@media (prefers-reduced-motion:reduce){.imp-dialog .imp-busy{animation-duration:6s}}";
var STYLE_DARK = [
  [".imp-dialog", "color:#ecf2f0"],
  [".imp-dialog.mobile .imp-box", "background:#151d1c"],
  [".imp-dialog .imp-main", "background:#151d1c"],
  [".imp-dialog .imp-notice", "background:#151d1c"],
  [".imp-dialog .imp-ask", "background:#151d1c"],
  [".imp-dialog button", "background:#2b3836"],
  [".imp-dialog button.imp-first", "background:#0b6a5d;color:#fff"],
  [".imp-dialog .imp-close", "background:#2b3836"],
  [".imp-dialog.mobile .imp-close", "background:transparent"],
];

/**
 * Put our rules where the dialog lives, once. A constructed sheet also passes a page's strict CSP.
 * @param {any} root the document, or a shadow root of the merchant's
 */
function addStyle(root) {
  if (root.impStyled) return;
  root.impStyled = true;
  var light = false;
  try {
    light = window.CSS.supports("selector(:where(a))");
  } catch (error) {
    // An old browser: plain selectors.
  }
  /** @param {string[][]} rules */
  function text(rules) {
    var all = "";
    for (var index = 0; index < rules.length; index += 1) {
      var selector = rules[index][0];
      // As much as one element's name: a page's classes still win, its bare names do not.
      all += (light ? ":where(" + selector + "):not(x)" : selector) + "{" + rules[index][1] + "}";
    }
    return all;
  }
  var css =
    text(STYLE) + STYLE_EXTRA + "@media (prefers-color-scheme:dark){" + text(STYLE_DARK) + "}";
  try {
    var sheet = new CSSStyleSheet();
    /** @type {any} */ (sheet).replaceSync(css);
    // Read, not written, by index: `adoptedStyleSheets` may be frozen.
    root.adoptedStyleSheets = [].slice.call(root.adoptedStyleSheets).concat(/** @type {any} */ ([sheet]));
  } catch (error) {
    var style = document.createElement("style");
    style.appendChild(document.createTextNode(css));
    var home = root.head || root;
    home.insertBefore(style, home.firstChild);
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {string} className
 * @param {Node} parent
 * @returns {HTMLElementTagNameMap[K]}
 */
function addElement(tag, className, parent) {
  var element = document.createElement(tag);
  if (className) element.className = className;
  parent.appendChild(element);
  return element;
}

/**
 * @param {Node} parent
 * @param {NoticeButton} button
 * @param {boolean} first the one that most buyers want
 * @returns {HTMLButtonElement}
 */
function addButton(parent, button, first) {
  var element = addElement("button", first ? "imp-first" : "", parent);
  element.type = "button";
  element.appendChild(document.createTextNode(button.text));
  element.addEventListener("click", button.press, false);
  return element;
}

/**
 * Make everything but `element` inert; returns how to undo it.
 * @param {HTMLElement} element
 * @returns {() => void}
 */
function seal(element) {
  /** @type {Element[]} */
  var sealed = [];
  /** @type {any} */
  var node = element;
  while (node && node !== document.body && node.parentNode) {
    var siblings = node.parentNode.children || [];
    for (var index = 0; index < siblings.length; index += 1) {
      var sibling = siblings[index];
      if (sibling === node || sibling.hasAttribute("inert")) continue;
      if (/^(SCRIPT|STYLE|LINK|TEMPLATE)$/.test(sibling.tagName)) continue;
      sibling.setAttribute("inert", "");
      sealed.push(sibling);
    }
    node = node.parentNode.host || node.parentNode;
  }
  return function () {
    for (var index = 0; index < sealed.length; index += 1) sealed[index].removeAttribute("inert");
  };
}

/**
 * Open the dialog with its skeleton.
 * @param {HTMLElement} container where the merchant wants it; usually the body
 * @param {Surface} surface
 * @param {string} provider
 * @param {boolean} small beside a popup: words only
 * @param {Words} words
 * @param {string} language
 * @param {() => void} giveUp the buyer said so
 * @param {string} kind payment or certification
 * @returns {Dialog}
 */
function openDialog(container, surface, provider, small, words, language, giveUp, kind) {
  var before = /** @type {any} */ (document.activeElement);
  var page = document.documentElement;
  var overflowBefore = page.style.overflow;
  var safeProvider = provider.replace(/[^A-Za-z0-9_-]/g, "");
  var bodyClass = " imp-payment-progress";

  var outer = document.createElement("div");
  outer.className =
    "imp-dialog customizable " + kind + "-" + safeProvider + " " + surface + (small ? " popup" : "") +
    (/iPhone|iPad|iPod/.test(navigator.userAgent) ? " ios" : "");
  outer.tabIndex = -1;
  outer.lang = language;
  outer.setAttribute("role", "dialog");
  outer.setAttribute("aria-modal", "true");
  outer.setAttribute("aria-label", words.title);

  var edgeBefore = addElement("span", "", outer);
  var box = addElement("div", "imp-box", outer);
  var header = addElement("div", "imp-header", box);
  var closing = addElement("button", "imp-close", header);
  closing.type = "button";
  closing.setAttribute("aria-label", words.close);
  closing.appendChild(document.createTextNode("\u00d7"));
  var main = addElement("div", "imp-main", box);
  var edgeAfter = addElement("span", "", outer);
  edgeBefore.tabIndex = edgeAfter.tabIndex = 0;

  /** @type {HTMLElement | null} */
  var noticed = null;
  /** @type {HTMLElement | null} */
  var asked = null;
  /** @type {any} */
  var beforeAsking = null;

  /** @type {Dialog} */
  var dialog = {
    frame: null,
    load: function (url) {
      if (!dialog.frame) {
        dialog.frame = document.createElement("iframe");
        dialog.frame.className =
          "imp-frame imp-frame-" + surface + " imp-frame-default imp-frame-" + safeProvider;
        dialog.frame.title = words.title;
        dialog.frame.setAttribute("allow", "payment");
        dialog.frame.src = url;
        main.insertBefore(dialog.frame, main.firstChild);
      } else {
        dialog.frame.src = url;
      }
    },
    ready: function () {
      dropNotice();
      if (dialog.frame && !asked) dialog.frame.focus();
    },
    notice: function (text, buttons, busy) {
      dropNotice();
      noticed = addElement("div", "imp-notice", main);
      if (busy) addElement("div", "imp-busy", noticed).setAttribute("aria-hidden", "true");
      var line = addElement("p", "imp-text", noticed);
      line.setAttribute("role", "status");
      line.appendChild(document.createTextNode(text));
      var row = addElement("div", "imp-buttons", noticed);
      /** @type {HTMLElement | null} */
      var first = null;
      for (var index = 0; index < buttons.length; index += 1) {
        var element = addButton(row, buttons[index], index === 0);
        first = first || element;
      }
      if (!asked) (first || outer).focus();
    },
    ask: function () {
      if (asked) return;
      beforeAsking = document.activeElement;
      asked = addElement("div", "imp-ask", main);
      asked.setAttribute("role", "alertdialog");
      asked.setAttribute("aria-label", words.ask);
      var line = addElement("p", "imp-text", asked);
      line.appendChild(document.createTextNode(words.ask));
      var row = addElement("div", "imp-buttons", asked);
      header.setAttribute("inert", "");
      if (dialog.frame) dialog.frame.setAttribute("inert", "");
      if (noticed) noticed.setAttribute("inert", "");
      addButton(row, { text: words.stay, press: stay }, true).focus();
      addButton(row, { text: words.leave, press: leave }, false);
    },
    remove: function () {
      document.removeEventListener("keydown", onKey, true);
      unseal();
      page.style.overflow = overflowBefore;
      document.body.className = document.body.className.split(bodyClass).join("");
      if (outer.parentNode) outer.parentNode.removeChild(outer);
      try {
        if (before && before !== document.body) before.focus();
      } catch (error) {
        // What had the focus is gone.
      }
    },
  };

  function dropNotice() {
    if (noticed) main.removeChild(noticed);
    noticed = null;
  }

  function stay() {
    if (!asked) return;
    main.removeChild(asked);
    asked = null;
    header.removeAttribute("inert");
    if (dialog.frame) dialog.frame.removeAttribute("inert");
    if (noticed) noticed.removeAttribute("inert");
    if (beforeAsking && outer.contains(beforeAsking)) beforeAsking.focus();
    else outer.focus();
  }

  function leave() {
    stay();
    giveUp();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.key !== "Escape" && event.key !== "Esc") return;
    event.preventDefault();
    event.stopPropagation();
    if (asked) stay();
    else dialog.ask();
  }

  /**
   * The places of the keyboard inside the dialog, in order; the frame is one of them.
   * @returns {HTMLElement[]}
   */
  function stops() {
    if (asked) return [].slice.call(asked.querySelectorAll("button"));
    var all = [closing];
    if (noticed) return all.concat([].slice.call(noticed.querySelectorAll("button")));
    return dialog.frame ? all.concat(/** @type {any} */ ([dialog.frame])) : all;
  }

  edgeBefore.addEventListener("focus", function () {
    var all = stops();
    all[all.length - 1].focus();
  });
  edgeAfter.addEventListener("focus", function () {
    stops()[0].focus();
  });
  closing.addEventListener("click", dialog.ask, false);
  document.addEventListener("keydown", onKey, true);

  container.appendChild(outer);
  addStyle(outer.getRootNode ? outer.getRootNode() : document);
  var unseal = seal(outer);
  page.style.overflow = "hidden";
  if (surface === "mobile") document.body.className += bodyClass;
  dialog.notice(words.loading, [], true);
  return dialog;
}
