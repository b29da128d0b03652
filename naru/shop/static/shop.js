// The order page: opens the payment window, reports to our server, and keeps the page true.
// What the window answers is only a hint; what is shown always comes from the server's own record.
(function () {
  "use strict";

  var root = document.querySelector("[data-order]");
  var page = JSON.parse(document.getElementById("window").textContent);
  var here = "/orders/" + encodeURIComponent(root.dataset.order);
  var said = document.getElementById("said");
  var pay = document.getElementById("pay");

  document.querySelectorAll("[data-copy]").forEach(function (button) {
    button.addEventListener("click", function () {
      var text = document.getElementById(button.dataset.copy).textContent;
      navigator.clipboard.writeText(text).then(function () {
        said.textContent = page.words.copied;
        button.textContent = page.words.copied;
      });
    });
  });

  if (pay) {
    var label = pay.textContent;
    if (window.IMP) window.IMP.init(page.user_code);
    pay.addEventListener("click", function () {
      if (!window.IMP) return trouble(page.words.sdk_missing);
      busy(page.words.paying);
      var method = document.querySelector("input[name=method]:checked").value;
      var param = Object.assign({}, page.param, page.methods[method], {
        m_redirect_url: location.origin + "/payments/complete",
      });
      // Opened inside the click, so that a PG that needs a popup may have one.
      window.IMP.request_pay(param, answered);
    });
    window.addEventListener("pageshow", function (event) {
      if (event.persisted) location.reload();
    });
    // A press before this line would have been lost.
    pay.disabled = false;
  }

  function answered(result) {
    // Paid, or being paid, in another window: nobody is to try again before that is known.
    if (!result.imp_uid && result.error_code === "F1002") return go(false);
    if (!result.imp_uid) return trouble(result.error_msg || page.words.try_failed);
    busy(page.words.confirming);
    report(result).then(function (answer) {
      if (answer.ok || answer.status >= 500) return go(answer.status === 200);
      return answer.json().then(function (told) {
        if (told.status === "failed") trouble(told.message);
        else trouble(told.message || page.words.try_failed);
      });
    }).catch(function () { go(false); });
  }

  function report(result) {
    return fetch("/payments/complete", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ imp_uid: result.imp_uid, merchant_uid: result.merchant_uid }),
    });
  }

  function go(known) {
    location.replace(known ? here : here + "?checking=1");
  }

  function busy(words) {
    pay.disabled = true;
    pay.textContent = words;
    document.getElementById("trouble").hidden = true;
  }

  function trouble(reason) {
    var panel = document.getElementById("trouble");
    document.getElementById("trouble-reason").textContent = reason;
    panel.hidden = false;
    panel.scrollIntoView({ block: "center" });
    pay.disabled = false;
    pay.textContent = label;
  }

  // We do not know yet: have the server ask the gateway, now and then, until it says something.
  if (root.dataset.checking === "yes") {
    var looks = 0;
    var looking = setInterval(function () {
      if (++looks > 20) return clearInterval(looking);
      fetch(here + "/check", { method: "POST" }).then(function (answer) {
        if (answer.ok && !/[?&]checking/.test(answer.url)) location.replace(here);
      }).catch(function () { /* The network is away; the next look may find it. */ });
    }, 4000);
  }

  // A deposit, or a webhook that was faster than the browser, changes the order behind our back.
  if (root.dataset.status === "placed" || root.dataset.status === "waiting_deposit") {
    setInterval(function () {
      if (document.hidden) return;
      fetch(here + "/state").then(function (answer) { return answer.json(); }).then(function (now) {
        if (now.status !== root.dataset.status) location.replace(here);
      }).catch(function () { /* The network is away; the next look may find it. */ });
    }, 2500);
  }
})();
