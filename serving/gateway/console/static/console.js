// Progressive: every page works without this script.
"use strict";

for (const form of document.querySelectorAll("form[data-follow]")) {
  const range = form.querySelector("input[type=range]");
  const shown = form.querySelector("[data-value]");
  range.addEventListener("input", () => { shown.textContent = range.value; });
  for (const field of form.querySelectorAll("select, input")) {
    field.addEventListener("change", () => form.requestSubmit());
  }
}

const live = document.querySelector("[data-live]");
if (live) {
  const follow = async () => {
    if (document.hidden) return;
    try {
      const response = await fetch(live.dataset.live, { headers: { accept: "application/json" }, redirect: "error" });
      if (!response.ok) return;
      const counts = await response.json();
      for (const place of document.querySelectorAll("[data-count]")) {
        const count = counts[place.dataset.count];
        if (count !== undefined) place.textContent = count.toLocaleString("en-US");
      }
    } catch { /* the next round tries again */ }
  };
  setInterval(follow, 3000);
}
