// The reference page: searching, and trying an operation on this gateway. Nothing is kept anywhere.
"use strict";

(function () {
  var token = "";

  // On a phone the contents are long: they open when asked, and for as long as somebody searches.
  var small = window.matchMedia("(max-width: 820px)");
  var contents = document.getElementById("contents");
  if (small.matches) contents.open = false;
  contents.addEventListener("click", function (event) {
    if (small.matches && event.target.closest("a")) contents.open = false;
  });

  // Searching: every word must be in the text of an operation.
  var search = document.getElementById("search");
  var findable = Array.from(document.querySelectorAll("[data-find]"));
  function narrow() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    var found = 0;
    findable.forEach(function (each) {
      var text = each.dataset.find.toLowerCase();
      each.hidden = !words.every(function (word) { return text.includes(word); });
      if (!each.hidden) found += 1;
    });
    document.querySelectorAll("[data-tag]").forEach(function (tag) {
      tag.hidden = !tag.querySelector("[data-find]:not([hidden])");
    });
    document.getElementById("none").hidden = found > 0;
    if (small.matches) contents.open = words.length > 0;
  }
  search.addEventListener("input", narrow);
  document.addEventListener("keydown", function (event) {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      search.focus();
    }
  });

  // The token.
  var signIn = document.getElementById("sign-in");
  signIn.addEventListener("submit", async function (event) {
    event.preventDefault();
    var said = signIn.querySelector("output");
    var given = new FormData(signIn);
    if (given.get("token")) {
      token = given.get("token").trim();
      said.textContent = "이 토큰을 사용합니다 · This token is used";
      return;
    }
    var body = new URLSearchParams({ imp_key: given.get("imp_key"), imp_secret: given.get("imp_secret") });
    try {
      var answer = await fetch("/users/getToken", { method: "POST", body: body });
      var told = await answer.json();
      if (told.code === 0) {
        token = told.response.access_token;
        said.textContent = "토큰을 받았습니다 · You have a token";
      } else {
        said.textContent = answer.status + " " + told.message;
      }
    } catch (error) {
      said.textContent = "서버에 닿지 못했습니다 · The gateway did not answer";
    }
  });

  // A try.
  function request(form) {
    var path = form.dataset.path;
    var query = new URLSearchParams();
    var body = new URLSearchParams();
    form.querySelectorAll("input").forEach(function (input) {
      if (!input.value && !("path" in input.dataset)) return;
      if ("path" in input.dataset) path = path.replace("{" + input.name + "}", encodeURIComponent(input.value || "-"));
      else if ("query" in input.dataset) query.append(input.name, input.value);
      else body.append(input.name, input.value);
    });
    var address = path + (String(query) ? "?" + query : "");
    return { method: form.dataset.method, address: address, body: String(body), open: "open" in form.dataset };
  }
  function quoted(text) {
    return "'" + text.replace(/'/g, "'\\''") + "'";
  }
  function asCurl(asked) {
    return ["curl", "-X", asked.method, quoted(location.origin + asked.address)]
      .concat(asked.open ? [] : ["-H", "\"Authorization: $TOKEN\""])
      .concat(asked.body ? ["-d", quoted(asked.body)] : [])
      .join(" ");
  }
  document.querySelectorAll("details.try form").forEach(function (form) {
    form.addEventListener("submit", async function (event) {
      event.preventDefault();
      var said = form.querySelector("output");
      var asked = request(form);
      form.querySelector(".curl").textContent = asCurl(asked);
      if (!asked.open && !token) {
        said.textContent = "먼저 위에서 토큰을 받으세요 · Get a token first, at the top";
        return;
      }
      said.textContent = "…";
      try {
        var answer = await fetch(asked.address, {
          method: asked.method,
          headers: asked.open ? {} : { Authorization: token },
          body: asked.body ? new URLSearchParams(asked.body) : undefined,
        });
        said.textContent = "HTTP " + answer.status + "\n" + JSON.stringify(await answer.json(), null, 2);
      } catch (error) {
        said.textContent = "서버에 닿지 못했습니다 · The gateway did not answer";
      }
    });
  });
})();
