// The done page: bring the result to the page that waits for it. `facts` stands above.
(function () {
  var home = facts.mode === "popup" ? window.opener : window.parent !== window ? window.parent : null;
  if (facts.final) {
    if (!home) return;
    var message = {
      protocol: "naru/1",
      type: "result",
      request_id: facts.request_id,
      imp_uid: facts.imp_uid,
      result: facts.result,
      redirect_url: facts.redirect_url,
    };
    if (facts.page_origin === "*") {
      // Anybody may hear this, so it only says that there is something to ask for.
      message = {
        protocol: "naru/1", type: "ended", request_id: facts.request_id, imp_uid: facts.imp_uid
      };
    }
    home.postMessage(message, facts.page_origin);
    // The SDK closes us as well; without it (its page was closed meanwhile) we go by ourselves.
    if (facts.mode === "popup") setTimeout(function () { window.close(); }, 1000);
    return;
  }
  // We are here, and say ourselves that it is being found out.
  if (home) {
    home.postMessage(
      { protocol: "naru/1", type: "hello", request_id: facts.request_id, imp_uid: facts.imp_uid },
      facts.page_origin
    );
  }
  function look() {
    fetch(facts.poll, { cache: "no-store" })
      .then(function (answer) { return answer.json(); })
      .then(function (answer) {
        if (answer.state === "final") location.reload();
        else setTimeout(look, 1500);
      })
      .catch(function () { setTimeout(look, 3000); });
  }
  setTimeout(look, 1000);
})();
