// Dead letters, and whatever is known of one entity.

const letters = { query: "", items: [], next: null, total: 0, open: new Set(), rows: new Map(), serial: 0 };

const idOf = (item) => `${item.kind}/${item.code}/${item.failed_at}`;
/** A refusal without the JSON around what it says; the whole of it stands with the try. */
function inShort({ reason, failures }) {
  const [, status, begin] = /^(\d{3}): (\{.*)$/s.exec(reason) || [];
  const body = failures.at(-1)?.answer ?? begin;
  try {
    const { message, detail, title, error } = JSON.parse(body);
    const said = [message, detail, title, error].find((text) => typeof text === "string" && text);
    return said ? `${status}: ${said}` : reason;
  } catch {
    return reason;
  }
}

const selection = (item) => ({ entities: [{ kind: item.kind, code: item.code }] });

function readSearch() {
  const query = new URLSearchParams();
  for (const name of ["text", "kind", "since", "before"]) {
    const { value, type } = $(`dead-${name}`);
    if (value.trim()) query.set(name, type === "datetime-local" ? new Date(value).toISOString() : value.trim());
  }
  letters.query = query.toString();
}

/** Reads as many as are shown, and shows them. */
async function loadLetters(more = false) {
  const serial = ++letters.serial;
  const wanted = Math.min(200, Math.max(20, letters.items.length));
  const page = await ask("GET", more ? `/dead-letters?${letters.query}&limit=50&cursor=${encodeURIComponent(letters.next)}`
    : `/dead-letters?${letters.query}&limit=${wanted}`);
  if (serial !== letters.serial) return;
  letters.items = more ? [...letters.items, ...page.items] : page.items;
  letters.next = page.next;
  letters.total = page.total;
  drawLetters();
}

function drawLetters() {
  const { items, total, query, next } = letters;
  const isSearch = query.includes("text=");
  const what = isSearch ? `${count(items.length)} found${next ? " so far" : ""}, of ${count(total)}` : next ? `${count(items.length)} of ${count(total)}, the newest` : many(total, "entity", "entities") + " given up";
  put($("dead-summary"), total === 0 && !query ? "" : what);
  const rows = new Map(items.map((item) => [idOf(item), letters.rows.get(idOf(item)) || letterRow(item)]));
  letters.rows = rows;
  const elements = [...rows.values()];
  if (elements.length === 0) {
    elements.push(h("li", { class: "empty" }, query ? "None of the dead letters is like that." : "No dead letters. What the destination refuses for good lands here."));
  }
  // Left alone where nothing changed, so that focus stays.
  const list = $("dead-list");
  if (elements.length !== list.children.length || elements.some((element, at) => list.children[at] !== element)) list.replaceChildren(...elements);
  $("dead-more").hidden = !next;
  for (const [id, word] of [["replay-all", "Replay"], ["discard-all", "Discard"]]) {
    $(id).disabled = items.length === 0;
    put($(id), query ? `${word} all found` : `${word} all`);
  }
}

function letterRow(item) {
  const id = idOf(item);
  const row = h("li", { "data-code": item.code });
  const button = h("button", { type: "button", class: "letter", "aria-expanded": "false" },
    h("span", { class: "code mono" }, item.code ?? "(unknown)"),
    h("span", { class: "when muted small" }, `${KIND[item.kind] || item.kind}, `, since(item.failed_at)),
    h("span", { class: "reason" }, inShort(item)));
  let opened;
  const turn = (isOpen) => {
    button.setAttribute("aria-expanded", String(isOpen));
    if (isOpen) letters.open.add(id);
    else letters.open.delete(id);
    opened?.remove();
    opened = isOpen && row.appendChild(h("div", { class: "opened" }, letterDetails(item), letterButtons(item)));
  };
  button.addEventListener("click", () => turn(!letters.open.has(id)));
  row.append(button);
  if (letters.open.has(id)) turn(true);
  return row;
}

function letterDetails(item) {
  return [
    h("h3", {}, many(item.failures.length, "failed try", "failed tries")),
    item.failures.length === 0 ? h("p", { class: "muted" }, "Nothing is kept of them.") : h("div", {}, item.failures.map(attempt)),
    h("h3", {}, item.events.length ? `${many(item.events.length, "event")}, newest first` : "No events"),
    item.events.length ? item.events.map((event) => payload(event))
      : h("p", { class: "muted small" }, item.thinned ? "They were dropped to make room." : "It was not an event that asked for it."),
  ];
}

function attempt(failure) {
  const copy = (event) => act(event.currentTarget, async () => {
    await navigator.clipboard.writeText(failure.tracking_id);
    return "Copied";
  });
  return h("div", { class: "attempt" },
    h("span", { class: "muted" }, `${capital(failure.upstream)}${failure.status ? ` answered ${failure.status}` : ""}, `, since(failure.time),
      failure.tries > 1 && `, ${failure.tries} calls`),
    failure.answer ? payload(failure.answer, "What it answered") : h("span", {}, failure.reason),
    failure.request && sent(failure.request),
    failure.tracking_id && h("span", { class: "track" }, h("span", { class: "muted" }, "Tracking id"), h("code", {}, failure.tracking_id),
      h("button", { type: "button", "aria-label": `Copy the tracking id ${failure.tracking_id}`, onclick: copy }, "Copy")));
}

/** A request, whole or cut. */
const sent = ({ what = "sent", method, path, body }) => h("div", { class: "stack" },
  h("span", {}, `${capital(what)}: `, h("code", {}, `${method} ${path}`)),
  body && payload(typeof body === "string" ? body : JSON.stringify(body), "What is sent"));

function payload(text, name = "Event as received") {
  let pretty = text;
  try {
    pretty = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Cut, or no JSON: as it is.
  }
  return h("pre", { tabindex: "0", role: "group", "aria-label": name }, pretty);
}

function letterButtons(item) {
  return h("div", { class: "buttons" },
    h("button", { type: "button", class: "primary", "aria-label": `Replay ${item.code}`, onclick: (event) => act(event.currentTarget, () => replay(selection(item))) }, "Replay"),
    h("button", { type: "button", class: "danger", "aria-label": `Discard ${item.code}`, onclick: (event) => discard(event.currentTarget, selection(item), item.code) }, "Discard"),
    h("button", { type: "button", onclick: () => lookUp(item.kind, item.code) }, "Look up"));
}

/** Asks for it again and again where a search has more than is done at once. */
async function each(method, path, which, member) {
  let done = 0, cursor, behind, left;
  do {
    behind = cursor;
    const answer = await ask(method, path, cursor ? { matching: { ...which.matching, cursor } } : which, 60000);
    done += answer[member];
    ({ left, next: cursor } = answer);
  } while (cursor && cursor !== behind);
  return [done, left];
}

async function replay(which) {
  const [replayed, left] = await each("POST", "/dead-letters/replay", which, "replayed");
  return `${many(replayed, "entity", "entities")} queued again` + (left ? `; ${count(left)} did not fit, ask again later` : "");
}

async function discard(button, which, name) {
  const text = "It is not tried again before the PIM tells of another change.";
  if (!(await confirmed(`Discard ${name}?`, text, "Discard", true))) return;
  await act(button, async () => {
    const [discarded] = await each("DELETE", "/dead-letters", which, "discarded");
    await loadLetters();
    return `${many(discarded, "dead letter")} discarded`;
  });
}

/** All, or those that the search finds. */
const everything = () => letters.query ? [{ matching: Object.fromEntries(new URLSearchParams(letters.query)) }, "all that the search finds"]
  : [{ all: true }, `all ${many(letters.total, "dead letter")}`];

async function exportLetters() {
  const lines = await ask("GET", `/dead-letters?${letters.query}&format=jsonl`, undefined, 600000, true);
  const href = URL.createObjectURL(new Blob([lines]));
  h("a", { href, download: "dead-letters.jsonl" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
  return `${many(lines.split("\n").length - 1, "dead letter")} exported`;
}

async function replayAll(event) {
  const button = event.currentTarget;
  const [which, name] = everything();
  if (await confirmed(`Replay ${name}?`, "Each is read from the PIM again and sent if it differs. What is refused again comes back here.", "Replay")) {
    await act(button, () => replay(which));
  }
}

function lookUp(kind, code) {
  $("entity-kind").value = kind;
  $("entity-code").value = code;
  $("entity-form").requestSubmit();
  $("entity-form").scrollIntoView({ block: "center" });
}

/** Sends an entity though nothing may have changed. */
async function pushNow(button, { kind, code }) {
  const text = "It is read from the PIM and sent, or deleted if the PIM has it no more, though nothing may have changed.";
  if (!(await confirmed(`Push ${code} now?`, text, "Push"))) return;
  await act(button, command(`/entities/${kind}/${encodeURIComponent(code)}/push`, undefined, "Asked for: it is pushed when its turn comes"));
}

const WOULD = { nothing: "Nothing would be done", upsert: "It would be sent", delete: "It would be deleted", "let-go": "It would be left there", "dead-letter": "It would be given up" };

/** Shows what an entity would be sent, for which a tick under way is waited for. */
async function preview({ kind, code }) {
  tell("Asking the PIM: this takes up to a minute");
  const { would, why, waits_for: waits, requests = [] } = await ask("POST", "/preview", { kind, code }, 120000);
  $("preview").replaceChildren(h("p", {}, h("strong", {}, WOULD[would]), `: ${why}.`), ...waits.map((text) => h("p", { class: "error" }, capital(text))), ...requests.map(sent));
  return "Nothing was sent";
}

async function loadEntity() {
  const code = $("entity-code").value.trim();
  const known = await ask("GET", `/entities/${$("entity-kind").value}/${encodeURIComponent(code)}`);
  const { events, retries, dead_letters: dead, index } = known;
  const isNew = events.total + retries.length + dead.length === 0 && !index;
  $("entity").replaceChildren(h("div", { class: "stack" },
    h("div", { class: "buttons" }, h("button", { type: "button", onclick: (event) => pushNow(event.currentTarget, known) }, "Push now"),
      h("button", { type: "button", onclick: (event) => act(event.currentTarget, () => preview(known)) }, "Preview")),
    h("div", { id: "preview", class: "stack" }),
    h("p", {}, h("strong", { class: "mono" }, known.code), isNew ? ": nothing waits for it, and nothing is known to have been sent." : ""),
    isNew ? "" : h("dl", { class: "facts" },
      fact("At the destination", index ? index.hash ? "sent" : "sent once; what lies there is not certain" : "not sent, as far as known"),
      index?.updated && fact("As updated in the PIM", since(index.updated)),
      index?.hash && fact("Hash", h("code", {}, index.hash)),
      fact("Waiting events", count(events.total)), fact("Waiting to retry", count(retries.length)), fact("Dead letters", count(dead.length))),
    retries.map((retry) => h("div", { class: "attempt" }, h("strong", {}, WHY[retry.why] || retry.why, ", "), h("span", {}, "due ", since(retry.due),
      retry.attempts ? `, ${many(retry.attempts, "attempt")} used` : ""), retry.failures.map(attempt))),
    events.items.map((event) => h("div", { class: "stack" }, h("p", { class: "small" }, h("strong", {}, event.change), event.time ? " " : "", event.time && since(event.time)),
      event.event ? payload(event.event) : "")),
    dead.map((item) => h("div", { class: "stack" }, h("p", { class: "error" }, `Given up: ${item.reason}`), letterDetails(item)))));
}

const WHY = { failed: "Failed, will be tried again", recheck: "Will be looked at once more", braked: "Deletion held back by the brake", "upstream-down": "Waits for an upstream that is down" };
