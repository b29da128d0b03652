/** One button: keep this page's products in mind, or let them go. */

const button = document.getElementById("wish");

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    const answer = await fetch(location.pathname, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ keep: button.dataset.keep === "true" }),
    });
    if (answer.ok) {
      location.reload();
      return;
    }
  } catch {
    // Said below, as any refusal.
  }
  document.getElementById("trouble").hidden = false;
  button.disabled = false;
});
