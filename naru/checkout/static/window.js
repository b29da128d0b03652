// The opening page: tell the SDK that we are here, and go on to the PG. `facts` stands above.
(function () {
  var home = facts.mode === "popup" ? window.opener : window.parent !== window ? window.parent : null;
  function say(type) {
    if (!home) return;
    home.postMessage(
      { protocol: "naru/1", type: type, request_id: facts.request_id, imp_uid: facts.imp_uid },
      facts.page_origin
    );
  }
  say("hello");
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape") say("closing");
  });
  // Replaced, so that the Back button does not come here and open the PG's window once more.
  // Two frames later the page has been painted.
  requestAnimationFrame(function () {
    requestAnimationFrame(function () {
      location.replace(facts.next);
    });
  });
})();
