// Keeps pages up to date, asks before anything is lost, and carries the token where one is needed.
// Pages are rendered on the server; what is fetched again replaces the sections marked data-live.
"use strict";

const TOKEN = "eventbus-token";
const DOOR = "form[data-act='token']";
const PART = 100; // dead letters under way at once
const PATIENCE = 10_000; // ms that are waited for what becomes of a replay
const ROOT = new URL(document.documentElement.dataset.root, location.href).pathname; // below whatever prefix a proxy has
const $ = (selector) => document.querySelector(selector);
$("link[rel='icon']").href = $("link[rel='icon']").href; // whole, since it is looked up again wherever a page leads
let round = 0; // counts the pages that were opened, so that an old page's timers end

async function ask(method, url, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  // A page from elsewhere cannot send the second header unasked: the bus takes it for its own page's.
  const headers = { Accept: "application/json", "Eventbus-Page": "dashboard", ...(options.headers || {}) };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(url, { method, headers, body: options.body, cache: "no-store" });
}

async function told(response) {
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(said.detail || `${response.status} ${response.statusText}`);
  return said;
}

// What a page that has come says of the buses it is from; where none has come, that.
function connected(page) {
  $("#connection").textContent = page ? page.querySelector("#connection").textContent : "The bus does not answer";
}

async function document_at(url) {
  const response = await ask("GET", url, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!page.querySelector("#main")) throw new Error(`${response.status} ${response.statusText}`);
  return page;
}

function show(page) {
  document.title = page.title;
  for (const part of ["#main", "header nav", "footer"]) $(part).replaceChildren(...page.querySelector(part).childNodes);
  $(".brand").setAttribute("href", page.querySelector(".brand").getAttribute("href")); // relative to where it stands
  connected(page);
  begin();
}

// Where a token is needed, links are followed here, so that it can be sent along.
async function open(url, push = true) {
  const page = await document_at(url);
  if (push) history.pushState(null, "", url);
  show(page);
  $("#main").focus();
}

// Live sections

const busy = (section) => section.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);

// The element of a section that stands for one that was replaced.
const NAMES = ["href", "data-act", "data-letter", "aria-label"];
const same = (section, element) => [...section.querySelectorAll(element.tagName)].find(
  (other) => NAMES.every((name) => other.getAttribute(name) === element.getAttribute(name)));

function replace(section, fresh) {
  const at = section.contains(document.activeElement) ? document.activeElement : null;
  const left = section.querySelector(".scroll")?.scrollLeft || 0;
  section.replaceChildren(...fresh.childNodes);
  const scroll = section.querySelector(".scroll");
  if (scroll) scroll.scrollLeft = left;
  if (at) (same(section, at) || $("#main")).focus({ preventScroll: true });
}

async function refresh(sections) {
  const mine = round;
  const page = await document_at(location.href);
  if (mine !== round) return null;
  if (!sections.some((section) => page.getElementById(section.id))) { // another page by now
    if (page.querySelector("#reason[data-live]")) $("#connection").textContent = page.querySelector("#reason p").textContent;
    else show(page);
    return null;
  }
  connected(page);
  for (const section of sections) {
    const fresh = page.getElementById(section.id);
    if (!fresh) section.remove();
    else if (!busy(section) && fresh.innerHTML !== section.innerHTML) replace(section, fresh);
  }
  return page;
}

async function chart() {
  Charts.add((await told(await ask("GET", `${ROOT}?since=${Charts.since()}`))).samples);
}

// The page has the latest samples; where some before them are missing, they are asked for.
async function go_on(page) {
  const latest = JSON.parse(page.getElementById("charts").dataset.latest);
  if (latest.length && latest[0].at * 1000 > Charts.since()) await chart();
  else Charts.add(latest);
}

function live() {
  const mine = round;
  const sections = [...document.querySelectorAll("[data-live]")];
  const charts = Boolean($("#charts"));
  if (charts) { Charts.drawAll(); chart().catch(() => connected(null)); }
  if (!sections.length && !charts) return;
  const seconds = Math.min(...sections.map((section) => Number(section.dataset.live)), 5);
  const turn = async () => {
    if (mine !== round) return;
    if (!document.hidden) {
      try {
        const page = await refresh(sections);
        if (charts && page) await go_on(page);
      } catch { connected(null); }
    }
    if (mine === round) setTimeout(turn, seconds * 1000);
  };
  setTimeout(turn, seconds * 1000);
}

// Asking twice

let questions = 0; // counts them, so that what an earlier one began does not speak in a later one

function confirmed({ title, text, go, again, work }) {
  const dialog = $("#ask"), button = $("#ask-go"), progress = $("#ask-progress"), result = $("#ask-result");
  const mine = questions += 1;
  let asked = 0;
  $("#ask-title").textContent = title;
  $("#ask-text").textContent = text;
  $("#ask-cancel").textContent = "Cancel";
  result.textContent = "";
  button.textContent = go;
  button.disabled = button.hidden = false;
  progress.hidden = true;
  const askAgain = () => { // not where a double click would answer it
    button.textContent = again;
    button.disabled = true;
    $("#ask-text").textContent = "This cannot be undone. Are you sure?";
    $("#ask-cancel").focus();
    setTimeout(() => { if (mine === questions) button.disabled = false; }, 600);
  };
  button.onclick = async () => {
    asked += 1;
    if (again && asked === 1) { askAgain(); return; }
    button.disabled = true;
    progress.hidden = false;
    progress.removeAttribute("value");
    const said = await work((done, all) => { if (mine === questions) { progress.max = all; progress.value = done; } })
      .catch((error) => `It did not work: ${error.message}`);
    if (mine !== questions) return;
    progress.hidden = button.hidden = true;
    result.textContent = said;
    $("#ask-cancel").textContent = "Close";
    $("#ask-cancel").focus();
  };
  dialog.onclose = refreshAll;
  dialog.showModal();
  $("#ask-cancel").focus();
}

async function refreshAll() {
  if ($("#letters")) await refresh([$("#letters")]).catch(() => connected(null));
}

// Takes the ids in turn, so that progress shows and no request is long.
async function discarded(ids, progress) {
  let count = 0;
  for (let start = 0; start < ids.length; start += PART) {
    const part = ids.slice(start, start + PART);
    const said = await Promise.all(part.map(async (id) => told(await ask("DELETE", `${ROOT}deadLetters?id=${id}`))));
    count += said.reduce((sum, one) => sum + one.discarded, 0);
    progress(Math.min(start + PART, ids.length), ids.length);
  }
  return `${count} discarded.`;
}

// The same for a replay. The first is asked for alone: the others count for its replay.
async function replayed(choices, progress) {
  let replay = null, count = 0;
  const one = async (choice) => {
    const said = await told(await ask("POST", `${ROOT}deadLetters/replay?${choice}${replay ? `&replay=${replay}` : ""}`));
    count += said.replayed;
    replay ??= said.replay;
  };
  for (let start = 0; start < choices.length;) {
    const part = choices.slice(start, start + (replay ? PART : 1));
    await Promise.all(part.map(one));
    start += part.length;
    progress(start, choices.length);
  }
  return `${count} put back as pending${replay ? await outcome(replay, progress) : ""}.`;
}

// What becomes of a replay, as far as that shows in a moment.
async function outcome(replay, progress) {
  for (const ends = Date.now() + PATIENCE; ;) {
    const said = await told(await ask("GET", `${ROOT}deadLetters/replays/${replay}`));
    progress(said.replayed - said.pending, said.replayed);
    if (!said.pending || Date.now() > ends) {
      const counts = ["delivered", "dead_again", "discarded", "pending"].filter((name) => said[name]);
      return `: ${counts.map((name) => `${said[name]} ${name.replace("_", " ")}`).join(", ")}`;
    }
    await new Promise((next) => setTimeout(next, 300));
  }
}

const things = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
const whose = (address) => (address ? `address=${encodeURIComponent(address)}` : "all=true");

const ACTS = {
  "replay-letters": () => picked((ids) => confirmed({
    title: `Replay ${things(ids.length, "dead letter")}?`, text: "They become pending again and are delivered as soon as their subscribers take them.", go: "Replay",
    work: (progress) => replayed(ids.map((id) => `id=${id}`), progress),
  })),
  "discard-letters": () => picked((ids) => confirmed({
    title: `Discard ${things(ids.length, "dead letter")}?`, text: "They will not be delivered any more.", go: "Discard", again: `Yes, discard ${ids.length}`,
    work: (progress) => discarded(ids, progress),
  })),
  "replay-all": ({ address }) => confirmed({
    title: "Replay all?", text: address ? `All dead letters of ${address} become pending again.` : "All dead letters of everybody become pending again.", go: "Replay all",
    work: (progress) => replayed([whose(address)], progress),
  }),
  "discard-all": ({ address }) => confirmed({
    title: "Discard all?", text: address ? `All dead letters of ${address} will be gone.` : "All dead letters of everybody will be gone.", go: "Discard all", again: "Yes, discard all",
    work: async () => `${(await told(await ask("DELETE", `${ROOT}deadLetters?${whose(address)}`))).discarded} discarded.`,
  }),
  deregister: ({ address, pending }) => confirmed({
    title: `Deregister ${address}?`, text: `What is pending for it, ${pending} now, is discarded.`, go: "Deregister", again: "Yes, deregister",
    work: async () => { await told(await ask("DELETE", `${ROOT}deregister?address=${encodeURIComponent(address)}`)); return "Its lease has ended."; },
  }),
  "replay-journal": ({ address }, form) => confirmed({
    title: `Deliver again to ${address}?`, text: `Everything it chose, from ${form.elements.from.value} on, is delivered once more.`, go: "Replay",
    work: async () => `${(await told(await ask("POST", `${ROOT}replay?address=${encodeURIComponent(address)}&from=${encodeURIComponent(form.elements.from.value)}`))).events} events are on their way.`,
  }),
  send: async (_, form) => {
    const topic = form.elements.topic.value.trim();
    const response = await ask("POST", `${ROOT}sendMessage${topic ? `?topic=${encodeURIComponent(topic)}` : ""}`, {
      headers: { "Content-Type": form.elements.type.value }, body: form.elements.body.value,
    });
    const said = await told(response);
    const id = said.id ?? said.ids[0];
    const link = Object.assign(document.createElement("a"), { href: `${ROOT}dashboard/event?id=${encodeURIComponent(id)}`, textContent: id });
    $("#sent").replaceChildren("Accepted as ", link, `, for ${things(said.subscribers, "subscriber")}.`);
  },
  token: async (_, form) => {
    sessionStorage.setItem(TOKEN, form.elements.token.value.trim());
    await open(location.href, false);
  },
};

function picked(act) {
  const ids = [...document.querySelectorAll("[data-letter]:checked")].map((box) => box.dataset.letter);
  if (ids.length) act(ids);
}

// What the pages' elements do

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (button) ACTS[button.dataset.act](button.dataset);
  const link = event.target.closest("a[href]:not([href^='#'])");
  const plain = link && !event.defaultPrevented && event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey;
  const page = link && link.origin === location.origin && (link.pathname === ROOT || link.pathname.startsWith(`${ROOT}dashboard/`));
  if (plain && page && sessionStorage.getItem(TOKEN)) { event.preventDefault(); open(link.href).catch(() => connected(null)); }
});

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.dataset.act) {
    event.preventDefault();
    try { await ACTS[form.dataset.act](form.dataset, form); } catch (error) { $("#sent").textContent = `It did not work: ${error.message}`; }
  } else if (form.method === "get" && sessionStorage.getItem(TOKEN)) {
    event.preventDefault();
    open(`${form.action}?${new URLSearchParams(new FormData(form))}`).catch(() => connected(null));
  }
});

document.addEventListener("change", ({ target }) => {
  if (target.matches("[data-all]")) {
    document.querySelectorAll("[data-letter]").forEach((box) => { box.checked = target.checked; });
  }
});

window.addEventListener("popstate", () => { if (sessionStorage.getItem(TOKEN)) open(location.href, false); });

function begin() {
  round += 1;
  if ($(DOOR) && sessionStorage.getItem(TOKEN)) knock().catch(() => connected(null));
  else live();
}

// A page that was opened without the token is fetched again with it, once.
async function knock() {
  const page = await document_at(location.href);
  if (!page.querySelector(DOOR)) { show(page); return; }
  sessionStorage.removeItem(TOKEN);
  $("#sent").textContent = "That token does not open this page.";
}

begin();
