// The copy buttons. Where the clipboard is closed to us, what was meant gets selected.
(function () {
  function select(meant) {
    var range = document.createRange();
    range.selectNodeContents(meant);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
  }
  document.querySelectorAll("[data-copy]").forEach(function (button) {
    var meant = document.getElementById(button.dataset.copy);
    var said = document.getElementById("said");
    button.addEventListener("click", function () {
      if (!navigator.clipboard) return select(meant);
      navigator.clipboard.writeText(meant.textContent).then(
        function () {
          button.classList.add("done");
          said.textContent = said.dataset.copied;
          setTimeout(function () {
            button.classList.remove("done");
            said.textContent = "";
          }, 2000);
        },
        function () { select(meant); }
      );
    });
  });
})();
