// Keeps pages up to date, asks for confirmation before changes, and sends the token where one is required.
// Pages are rendered on the server. The sections marked data-live are fetched and replaced at intervals.
"use strict";

const TOKEN = "eventbus-token";
const LOGIN_FORM = "form[data-act='token']";
const BATCH_SIZE = 100; // requests about dead letters in flight at once
const RETRIED_WHEN = { "waiting for credentials": "when it renews with its credentials", paused: "when its pause ends", expired: "when it registers again" };
const OUTCOME_WAIT_MS = 10_000; // how long to wait for the outcome of redelivered dead letters
const ROOT = new URL(document.documentElement.dataset.root, location.href).pathname; // includes the prefix of a proxy
const $ = (selector) => document.querySelector(selector);
$("link[rel='icon']").href = $("link[rel='icon']").href; // absolute, because later pages resolve it again
let pageNumber = 0; // counts the opened pages, so that the timers of an earlier page stop
let openings = 0; // counts the links that were followed, so that the last one decides which page is opened

async function ask(method, url, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  // A page of another origin cannot send Eventbus-Page without a preflight, so it marks our own pages' requests.
  const headers = { Accept: "application/json", "Eventbus-Page": "dashboard", ...(options.headers || {}) };
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(url, { method, headers, body: options.body, cache: "no-store" });
}

async function payloadOf(response) {
  const payload = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(payload.detail || `${response.status} ${response.statusText}`);
  return payload;
}

// Displays which nodes answered, as the fetched page says; without a page, that the bus does not answer.
function connected(page) {
  $("#connection").textContent = page ? page.querySelector("#connection").textContent : "The bus does not answer";
}

async function fetchPage(url) {
  const response = await ask("GET", url, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!page.querySelector("#main")) throw new Error(`${response.status} ${response.statusText}`);
  return page;
}

function show(page) {
  document.title = page.title;
  for (const part of ["#main", "header nav", "footer"]) $(part).replaceChildren(...page.querySelector(part).childNodes);
  $(".brand").setAttribute("href", page.querySelector(".brand").getAttribute("href")); // relative to the page's path
  connected(page);
  begin();
}

// Follows links by fetch where a token is required, so that the token is sent with each request.
async function open(url, push = true) {
  const number = openings += 1;
  const page = await fetchPage(url);
  if (number !== openings) return; // another link was followed meanwhile
  if (push) history.pushState(null, "", url);
  show(page);
  $("#main").focus();
}

// Live sections

const busy = (section) => section.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);

// Finds the element that replaced another one, to move the focus to it.
const NAMES = ["href", "data-act", "data-letter", "data-group", "aria-label"];
const counterpart = (section, element) => [...section.querySelectorAll(element.tagName)].find(
  (candidate) => NAMES.every((name) => candidate.getAttribute(name) === element.getAttribute(name)));

// Unfolds in the new section what is unfolded in the present one, and folds what is folded.
function keepFolds(section, fresh) {
  for (const fold of fresh.querySelectorAll("details[id]")) {
    const present = section.querySelector(`#${CSS.escape(fold.id)}`);
    if (present) fold.open = present.open;
  }
}

function replace(section, fresh) {
  const at = section.contains(document.activeElement) ? document.activeElement : null;
  const left = section.querySelector(".scroll")?.scrollLeft || 0;
  section.replaceChildren(...fresh.childNodes);
  const scroll = section.querySelector(".scroll");
  if (scroll) scroll.scrollLeft = left;
  if (at) (counterpart(section, at) || $("#main")).focus({ preventScroll: true });
}

async function refresh(sections) {
  const number = pageNumber;
  const page = await fetchPage(location.href);
  if (number !== pageNumber) return null;
  if (!sections.some((section) => page.getElementById(section.id))) { // it has become another page, such as the login form
    if (page.querySelector("#reason[data-live]")) $("#connection").textContent = page.querySelector("#reason p").textContent;
    else show(page);
    return null;
  }
  connected(page);
  for (const section of sections) {
    const fresh = page.getElementById(section.id);
    if (fresh) keepFolds(section, fresh);
    if (!fresh) section.remove();
    else if (!busy(section) && fresh.innerHTML !== section.innerHTML) replace(section, fresh);
  }
  return page;
}

async function chart() {
  Charts.add((await payloadOf(await ask("GET", `${ROOT}?since=${Charts.since()}`))).samples);
}

// Adds the latest samples, which the page holds. If older ones are missing, fetches those too.
async function updateCharts(page) {
  const latest = JSON.parse(page.getElementById("charts").dataset.latest);
  if (latest.length && latest[0].at * 1000 > Charts.since()) await chart();
  else Charts.add(latest);
}

function live() {
  const number = pageNumber;
  const sections = [...document.querySelectorAll("[data-live]")];
  const charts = Boolean($("#charts"));
  if (charts) { Charts.drawAll(); chart().catch(() => connected(null)); }
  if (!sections.length && !charts) return;
  const seconds = Math.min(...sections.map((section) => Number(section.dataset.live)), 5);
  const turn = async () => {
    if (number !== pageNumber) return;
    if (!document.hidden) {
      try {
        const page = await refresh(sections);
        if (charts && page) await updateCharts(page);
      } catch { connected(null); }
    }
    if (number === pageNumber) setTimeout(turn, seconds * 1000);
  };
  setTimeout(turn, seconds * 1000);
}

// Confirmation

let questions = 0; // counts the dialogs, so that the work of an earlier one does not write into a later one

function confirmed({ title, text, go, again, work, keep = "Cancel" }) {
  const dialog = $("#ask"), button = $("#ask-go"), progress = $("#ask-progress"), result = $("#ask-result");
  const number = questions += 1;
  let asked = 0;
  $("#ask-title").textContent = title;
  $("#ask-text").textContent = text;
  $("#ask-cancel").textContent = keep;
  result.textContent = "";
  button.textContent = go;
  button.disabled = button.hidden = false;
  progress.hidden = true;
  const askAgain = () => { // disabled for a moment, so that a double click does not confirm
    button.textContent = again;
    button.disabled = true;
    $("#ask-text").textContent = "This cannot be undone. Are you sure?";
    $("#ask-cancel").focus();
    setTimeout(() => { if (number === questions) button.disabled = false; }, 600);
  };
  button.onclick = async () => {
    asked += 1;
    if (again && asked === 1) { askAgain(); return; }
    button.disabled = true;
    progress.hidden = false;
    progress.removeAttribute("value");
    const payload = await work((done, all) => { if (number === questions) { progress.max = all; progress.value = done; } })
      .catch((error) => `Failed: ${error.message}`);
    if (number !== questions) return;
    progress.hidden = button.hidden = true;
    result.textContent = payload;
    $("#ask-cancel").textContent = "Close";
    $("#ask-cancel").focus();
  };
  dialog.onclose = refreshAll;
  dialog.showModal();
  $("#ask-cancel").focus();
}

async function refreshAll() {
  const sections = [...document.querySelectorAll("#letters, #scheduled")];
  if (sections.length) await refresh(sections).catch(() => connected(null));
}

// Discards the dead letters in batches of single requests, so that progress is visible and no request is long.
async function discarded(ids, progress) {
  let count = 0;
  for (let start = 0; start < ids.length; start += BATCH_SIZE) {
    const part = ids.slice(start, start + BATCH_SIZE);
    const payload = await Promise.all(part.map(async (id) => payloadOf(await ask("DELETE", `${ROOT}deadLetters?id=${id}`))));
    count += payload.reduce((sum, one) => sum + one.discarded, 0);
    progress(Math.min(start + BATCH_SIZE, ids.length), ids.length);
  }
  return `${count} discarded.`;
}

// Redelivers in the same way. The first request runs alone: the rest count for its replay id.
async function redelivered(choices, progress) {
  let replay = null, count = 0, expired = 0;
  const one = async (choice) => {
    const payload = await payloadOf(await ask("POST", `${ROOT}deadLetters/replay?${choice}${replay ? `&replay=${replay}` : ""}`));
    count += payload.replayed;
    expired += payload.expired;
    replay ??= payload.replay;
  };
  for (let start = 0; start < choices.length;) {
    const part = choices.slice(start, start + (replay ? BATCH_SIZE : 1));
    await Promise.all(part.map(one));
    start += part.length;
    progress(start, choices.length);
  }
  const left = expired ? ` ${plural(expired, "event")} had expired: redeliver such a dead letter by itself.` : "";
  return `${count} redelivered${replay ? await outcome(replay, progress) : ""}.${left}`;
}

// Returns the outcome of a redelivery, as far as it is known within OUTCOME_WAIT_MS.
async function outcome(replay, progress) {
  for (const ends = Date.now() + OUTCOME_WAIT_MS; ;) {
    const payload = await payloadOf(await ask("GET", `${ROOT}deadLetters/replays/${replay}`));
    progress(payload.replayed - payload.pending, payload.replayed);
    if (!payload.pending || Date.now() > ends) {
      const counts = ["delivered", "dead_again", "discarded", "filtered", "pending"].filter((name) => payload[name]);
      return `: ${counts.map((name) => `${payload[name]} ${name.replace("_", " ")}`).join(", ")}`;
    }
    await new Promise((next) => setTimeout(next, 300));
  }
}

const plural = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

async function deregistered(subject) {
  await payloadOf(await ask("DELETE", `${ROOT}deregister?${subject}`));
  return "Deregistered.";
}

const posted = async (target) => payloadOf(await ask("POST", `${ROOT}${target}`));

const ACTS = {
  "redeliver-letters": () => withSelected((ids) => confirmed({
    title: `Redeliver ${plural(ids.length, "dead letter")}?`, text: "They return to the backlog and are attempted again.", go: "Redeliver",
    work: (progress) => redelivered(ids.map((id) => `id=${id}`), progress),
  })),
  "discard-letters": () => withSelected((ids) => confirmed({
    title: `Discard ${plural(ids.length, "dead letter")}?`, text: "They will not be delivered.", go: "Discard", again: `Yes, discard ${ids.length}`,
    work: (progress) => discarded(ids, progress),
  })),
  "redeliver-all": ({ subject, name }) => confirmed({
    title: "Redeliver all?", text: name ? `All dead letters of ${name} return to the backlog.` : "All dead letters of all subscribers return to the backlog.", go: "Redeliver all",
    work: (progress) => redelivered([subject], progress),
  }),
  "discard-all": ({ subject, name }) => confirmed({
    title: "Discard all?", text: name ? `All dead letters of ${name} will be removed.` : "All dead letters of all subscribers will be removed.", go: "Discard all", again: "Yes, discard all",
    work: async () => `${(await payloadOf(await ask("DELETE", `${ROOT}deadLetters?${subject}`))).discarded} discarded.`,
  }),
  deregister: ({ subject, name, pending }) => confirmed({
    title: `Deregister ${name}?`, text: `Its pending deliveries, ${pending} now, are discarded.`, go: "Deregister", again: "Yes, deregister",
    work: () => deregistered(subject),
  }),
  "deregister-member": ({ subject, name }) => confirmed({
    title: `Deregister ${name}?`, text: "It leaves its group, and the other members get its share. If it is the last, the group expires.", go: "Deregister",
    work: () => deregistered(subject),
  }),
  pause: ({ target, name }) => confirmed({
    title: `Pause ${name}?`, text: "Nothing more is attempted; what is in flight finishes. Events wait until it is resumed, or the pause ends.", go: "Pause",
    work: async () => { const { until } = await posted(target); return until ? `Paused until ${until}.` : "Paused."; },
  }),
  resume: ({ target, name }) => confirmed({
    title: `Resume ${name}?`, text: "What waits is delivered.", go: "Resume",
    work: async () => ((await posted(target)).resumed ? "Resumed." : "It was not paused."),
  }),
  retry: ({ target, name }) => confirmed({
    title: `Retry now for ${name}?`, text: "What waits for its backoff is attempted at once.", go: "Retry",
    work: async () => { const { retried, state } = await posted(target); return `Due ${RETRIED_WHEN[state] ?? "now"}: ${retried}.`; },
  }),
  skip: ({ target, name }) => confirmed({
    title: `Skip ${name}?`, text: "It becomes a dead letter, and those behind it are delivered. An attempt in flight may still deliver it.", go: "Skip",
    work: async () => { const done = await posted(target); return done.in_flight ? "It is in flight: a dead letter unless it is delivered." : "Skipped."; },
  }),
  cancel: ({ target, name }) => confirmed({
    title: `Cancel ${name}?`, text: "It will be delivered to nobody. This cannot be undone.", go: "Yes, cancel it", keep: "Keep it",
    work: async () => { await posted(target); return "Cancelled."; },
  }),
  "replay-journal": ({ subject, name }, form) => confirmed({
    title: `Replay the journal to ${name}?`, text: `All events that match its topics, from ${form.elements.from.value} on, are delivered again.`, go: "Replay",
    work: async () => `${(await payloadOf(await ask("POST", `${ROOT}replay?${subject}&from=${encodeURIComponent(form.elements.from.value)}`))).events} events are being replayed.`,
  }),
  "try-filter": async ({ subject }, form) => {
    const { matches, events, complete, newest } = await posted(`registerAndKeepAlive?${subject}&dry_run=true&filter=${encodeURIComponent(form.elements.filter.value)}`);
    const links = newest.flatMap(({ id, topic }) => [" ", Object.assign(document.createElement("a"), {
      href: `${ROOT}dashboard/event?id=${encodeURIComponent(id)}`, textContent: topic ?? id })]);
    const looked = complete ? "the last day" : "the last day that there was time for";
    $("#sent").replaceChildren(`${matches} of ${plural(events, "event")} of ${looked} match${matches ? "; the newest:" : "."}`, ...links);
  },
  send: async (_, form) => {
    const topic = form.elements.topic.value.trim();
    const response = await ask("POST", `${ROOT}sendMessage${topic ? `?topic=${encodeURIComponent(topic)}` : ""}`, {
      headers: { "Content-Type": form.elements.type.value }, body: form.elements.body.value,
    });
    const payload = await payloadOf(response);
    const id = payload.id ?? payload.ids[0];
    const link = Object.assign(document.createElement("a"), { href: `${ROOT}dashboard/event?id=${encodeURIComponent(id)}`, textContent: id });
    $("#sent").replaceChildren("Accepted as ", link, `, for ${plural(payload.subscribers, "subscriber")}.`);
  },
  token: async (_, form) => {
    sessionStorage.setItem(TOKEN, form.elements.token.value.trim());
    await open(location.href, false);
  },
};

function withSelected(act) {
  const ids = [...document.querySelectorAll("[data-letter]:checked")].map((box) => box.dataset.letter);
  if (ids.length) act(ids);
}

// Event handlers

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
    try { await ACTS[form.dataset.act](form.dataset, form); } catch (error) { $("#sent").textContent = `Failed: ${error.message}`; }
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
  pageNumber += 1;
  if ($(LOGIN_FORM) && sessionStorage.getItem(TOKEN)) logIn().catch(() => connected(null));
  else live();
}

// Fetches a page that was opened without the token once more with it.
async function logIn() {
  const page = await fetchPage(location.href);
  if (!page.querySelector(LOGIN_FORM)) { show(page); return; }
  sessionStorage.removeItem(TOKEN);
  $("#sent").textContent = "This token does not grant access to this page.";
}

begin();
