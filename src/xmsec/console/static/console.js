// What every page does: htmx requests carry the forgery token, failures are said, a message disappears by itself.
"use strict";
const csrf = () => document.querySelector('meta[name="csrf"]').content;
document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRF-Token"] = csrf(); });
// A filter's empty fields and first order stay out of the address.
document.addEventListener("htmx:configRequest", (event) => {
  const { parameters, elt } = event.detail;
  if (!elt.matches("form.filter")) return;
  for (const name of ["since", "until", "q"]) if (!parameters[name]) delete parameters[name];
  if (parameters.order === "-time") delete parameters.order;
});
for (const failure of ["htmx:responseError", "htmx:sendError"]) {
  document.addEventListener(failure, () => say(document.getElementById("toast").dataset.failed));
}
// A form that takes long is sent once: its button says so until the answer is there.
document.addEventListener("submit", (event) => {
  const { once } = event.target.dataset;
  if (once && event.submitter) { event.submitter.disabled = true; event.submitter.textContent = once; }
});
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
