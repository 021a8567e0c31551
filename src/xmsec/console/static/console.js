// What every page does: htmx requests carry the forgery token, failures are said, a message disappears by itself.
"use strict";
const csrf = () => document.querySelector('meta[name="csrf"]').content;
document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRF-Token"] = csrf(); });
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(failure, () => say(document.getElementById("toast").dataset.failed));
}
let fading = 0;
function say(text) {
  const toast = document.getElementById("toast");
  toast.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => { toast.textContent = ""; }, 4000);
}
// POST a form's fields (a list of pairs) and return the answer as text; null after a failure that was said.
async function post(path, pairs) {
  try {
    const answer = await fetch(path, { method: "POST", body: new URLSearchParams(pairs), headers: { "X-CSRF-Token": csrf(), "HX-Request": "true" } });
    if (answer.ok) return await answer.text();
  } catch { /* said below */ }
  say(document.getElementById("toast").dataset.failed);
  return null;
}
