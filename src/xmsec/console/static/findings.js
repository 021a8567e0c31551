// The list of findings by keyboard and mouse. The server renders rows; this moves a cursor over them, asks for changes and puts
// the rows back that it gets. Nothing is inserted above the cursor: what arrives is announced.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const list = by("list");
  const filled = (text, number) => text.replace("#", number);
  const rows = () => [...document.querySelectorAll("#body tr[data-id]")];
  const here = () => document.querySelector("#body tr.here");
  const picked = () => rows().filter((row) => row.querySelector(".pick").checked);

  function move(row) {
    if (!row) return;
    for (const one of document.querySelectorAll("#body tr.here")) { one.classList.remove("here"); one.removeAttribute("aria-current"); }
    row.classList.add("here");
    row.setAttribute("aria-current", "true");
    row.scrollIntoView({ block: "nearest" });
    if (document.querySelector("#detail article")) open(row);
  }
  function step(by_) {
    const all = rows();
    const at = all.indexOf(here());
    move(all[Math.max(0, Math.min(all.length - 1, at + by_))]);
    if (at + by_ >= all.length - 3) { const older = by("older"); if (older) older.click(); }
  }
  let opening = 0;
  function open(row) {  // the last asked for wins; a key held down asks once
    clearTimeout(opening);
    opening = setTimeout(() => htmx.ajax("GET", `/findings/${row.dataset.id}`, { target: "#detail", swap: "innerHTML" }), 60);
  }
  function selected() {
    const number = picked().length;
    by("bulk").hidden = number === 0;
    by("selected").textContent = filled(by("selected").dataset.text, number);
  }
  async function act(action, ids, advance) {
    if (!ids.length) return;
    const pairs = ids.map((id) => ["id", id]).concat([["action", action]]);
    if (action === "assign") pairs.push(["assignee", "me"]);
    const answer = await post("/findings/triage", pairs);
    if (answer === null) return;
    const fresh = new DOMParser().parseFromString(`<table><tbody>${answer}</tbody></table>`, "text/html").querySelectorAll("tr[data-id]");
    for (const row of fresh) {
      const old = by(row.id);
      if (!old) continue;
      if (old.classList.contains("here")) { row.classList.add("here"); row.setAttribute("aria-current", "true"); }
      old.replaceWith(document.adoptNode(row));
    }
    if (list) { selected(); say(filled(by("results").dataset.done, fresh.length)); recount(); }
    if (!list) location.reload();
    else if (advance) step(1);
    else { const detail = document.querySelector("#detail article"); if (detail && ids.includes(detail.dataset.id)) open(detail); }
  }
  const chosen = () => { const some = picked(); return (some.length ? some : [here()].filter(Boolean)).map((row) => row.dataset.id); };
  const shown = () => document.querySelector("#detail article")?.dataset.id;

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-act]");
    if (button) { act(button.dataset.act, [shown()], false); return; }
    if (!list) return;
    const bulk = event.target.closest("[data-action]");
    if (bulk && bulk.dataset.action === "unselect") { for (const row of picked()) row.querySelector(".pick").checked = false; selected(); return; }
    if (bulk) { act(bulk.dataset.action, chosen(), false); return; }
    const row = event.target.closest("#body tr[data-id]");
    if (row && !event.target.closest("input") && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      move(row);
      open(row);
    }
  });
  document.addEventListener("keydown", (event) => {  // the form of an exception: saved and left by keyboard
    const form = event.target.closest("#except-form");
    if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });
  document.addEventListener("htmx:afterSettle", (event) => { if (event.detail.target.id === "detail") document.querySelector("#except-form #reason")?.focus(); });
  if (!list) return;
  let back = 0;  // the place to go on from when the rows above it have left
  document.addEventListener("excepted", () => {
    say(document.querySelector("#detail .good").textContent);
    back = Math.max(0, rows().indexOf(here()));
    for (const row of picked()) row.querySelector(".pick").checked = false;
    htmx.ajax("GET", `/findings?${filter()}`, { target: "#results", swap: "innerHTML" });
  });

  document.addEventListener("change", (event) => {
    if (event.target.classList.contains("pick")) { event.stopPropagation(); selected(); }
  }, true);

  const keys = {
    j: () => step(1), k: () => step(-1), ArrowDown: () => step(1), ArrowUp: () => step(-1),
    Enter: () => { const row = here(); if (row) open(row); },
    a: () => act("acknowledge", chosen(), !picked().length),
    c: () => act("close", chosen(), !picked().length),
    f: () => act("false-positive", chosen(), !picked().length),
    m: () => act("assign", chosen(), false),
    x: () => { const row = here(); if (row) { const pick = row.querySelector(".pick"); pick.checked = !pick.checked; selected(); } },
    e: () => {
      const way = by("except");
      const id = chosen()[0];
      if (way && id) htmx.ajax("GET", `${way.getAttribute("href")}?id=${id}`, { target: "#detail", swap: "innerHTML" });
    },
    "/": () => by("q").focus(),
    ".": () => by("news").click(),
    "?": () => by("help").showModal(),
    Escape: () => { by("detail").replaceChildren(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || by("help").open) return;
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
    if (typing) { if (event.key === "Escape") typing.blur(); return; }
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    const does = keys[event.key];
    if (does) { event.preventDefault(); does(); }
  });
  by("help-open").addEventListener("click", () => by("help").showModal());

  // The filter: facets are counted again after each change; times go out as UTC.
  const filter = () => location.search.replace(/^\?/, "").split("&").filter((one) => one && !/^(since|until|q|order)=$/.test(one)).join("&");
  const recount = () => htmx.ajax("GET", `/findings/facets?${filter()}`, { target: "#facets", swap: "innerHTML" });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "results") { selected(); listen(); recount(); fold(); if (!here()) move(rows()[Math.min(back, rows().length - 1)]); back = 0; }
    if (event.detail.target.id === "detail") by("detail").scrollTop = 0;
  });

  // News: counted and announced, shown when asked for.
  let source = null;
  let arrived = 0;
  function fold() { arrived = 0; by("news").hidden = true; }
  function listen() {
    if (source) source.close();
    source = new EventSource(`${by("triage").dataset.live}?${filter()}`);
    const live = by("live");
    const said = (text, lost) => { live.classList.toggle("lost", lost); live.lastElementChild.textContent = text; };
    source.addEventListener("open", () => said(live.dataset.here, false));
    source.addEventListener("here", () => { live.dataset.looked = "true"; });
    source.addEventListener("error", () => said(live.dataset.lost, true));
    source.addEventListener("news", (event) => {
      const news = JSON.parse(event.data);
      arrived += news.count;
      const button = by("news");
      const texts = [];
      if (arrived) texts.push(filled(button.dataset.many, arrived));
      if (news.more) texts.push(filled(button.dataset.old, news.more));
      button.textContent = texts.join(" · ");
      button.hidden = texts.length === 0;
    });
  }
  by("news").addEventListener("click", () => {
    if (!by("news").hidden) { htmx.ajax("GET", `/findings?${filter()}`, { target: "#results", swap: "innerHTML" }); by("list").scrollTop = 0; }
  });
  addEventListener("pagehide", () => source && source.close());

  // Saved views.
  async function views(path, pairs) {
    const answer = await post(path, pairs);
    if (answer !== null) by("views").innerHTML = answer;
  }
  by("views").addEventListener("click", (event) => {
    if (event.target.id === "view-save") views("/findings/views", [["name", by("view-name").value], ["query", filter()]]);
    const drop = event.target.closest("[data-drop-view]");
    if (drop) views("/findings/views/drop", [["name", drop.dataset.dropView]]);
  });
  by("views").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.id === "view-name") { event.preventDefault(); by("view-save").click(); }
  });

  listen();
  move(rows()[0]);
})();
