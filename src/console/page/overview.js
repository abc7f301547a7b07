// What the status says: the state, the figures, upstreams, reconciliation, and the controls.

const STATES = {
  ok: ["All is well", "Well"],
  degraded: ["Something needs attention", "Attention"],
  down: ["It is not doing its work", "Down"],
};

function drawStatus(status) {
  const [title] = STATES[status.state] || ["The state is not known"];
  $("state").className = `hero ${status.state}`;
  put($("state-title"), title);
  document.title = `${status.state === "ok" ? "" : `${status.state} · `}akeneo-relay ${status.instance}`;
  drawIcon(status.state);
  put($("instance"), status.instance);
  put($("pair"), status.pair ? `${status.pair.pim} → ${status.pair.destination}` : "Nothing has been sent to a destination yet");
  show($("reasons"), status.reasons, () => status.reasons.map((reason) => h("li", { class: reason.level },
    h("span", { class: "badge" }, STATES[reason.level][1]), h("span", {}, withTimes(capital(reason.text))))));
  drawWorker(status);
  drawTiles(status);
  show($("upstreams"), status.upstreams, () => [
    upstream("PIM", status.upstreams.pim), upstream("Destination", status.upstreams.destination),
    upstream("Alerts", status.upstreams.alert)]);
  $("waits").hidden = !Object.values(status.upstreams).some((state) => state.slowed_to_per_second || isWaiting(state));
  drawReconciliation(status.reconciliation);
  drawControls(status);
  drawMore(status);
}

/** A text in which moments are as people read them. */
const withTimes = (text) => text.split(/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)/).map((part, at) =>
  at % 2 ? h("time", { datetime: part, title: part }, clock(part)) : part);

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function drawIcon(state) {
  const color = { ok: "%2317703f", degraded: "%23c27a0e", down: "%23c0262d" }[state] || "%23808790";
  const href = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='${color}'/></svg>`;
  if ($("icon").getAttribute("href") !== href) $("icon").setAttribute("href", href);
}

function drawWorker(status) {
  const tick = status.last_tick;
  show($("worker"), [status.queue?.listed_at, tick], () => {
    if (!status.queue) return ["The worker has not ticked yet."];
    const parts = ["The worker last listed what waits ", since(status.queue.listed_at)];
    if (!tick) return [...parts, " and has had no work yet."];
    const did = [[tick.entities, "entity", "entities"], [tick.upserts, "upsert"], [tick.deletes, "delete"], [tick.unchanged, "unchanged", "unchanged"],
      [tick.retries, "to retry", "to retry"], [tick.dead_letters, "given up", "given up"]].filter(([number]) => number > 0);
    const what = did.map((done) => many(...done)).join(", ") || "nothing came of it";
    const end = tick.outcome === "stopped" && tick.reason ? `, and stopped: ${tick.reason}` : "";
    return [...parts, "; it last had work ", since(tick.at), `, for ${duration(tick.ms / 1000)}: ${what}${end}.`];
  });
}

function drawTiles(status) {
  const queue = status.queue || {};
  const { last_hour: hour, last_day: day } = status;
  $("tiles").dataset.depth = queue.depth ?? "";
  const tiles = [
    ["Waiting events", count(queue.depth), queue.oldest ? `oldest ${duration(queue.oldest_age_seconds)}` : "none waits"],
    ["Waiting to retry", count(queue.retrying), queue.braked ? `${count(queue.braked)} held by the brake` : "entities"],
    ["Dead letters", count(queue.dead), queue.dead ? "given up" : "none", queue.dead > 0],
    ["Event to destination", duration(hour.lag.median_seconds), hour.lag.events ? `p95 ${duration(hour.lag.p95_seconds)}, last hour` : "nothing in the last hour"],
    ["Events, last hour", count(hour.events), `${count(day.events)} in 24 h`],
    ["Entities, last hour", count(hour.entities), `${count(day.entities)} in 24 h`],
  ];
  show($("tiles"), tiles, () => tiles.map(([name, number, sub, isBad]) => h("div", {},
    h("dt", {}, name), h("dd", { class: isBad ? "number bad" : "number" }, number), h("dd", { class: "sub" }, sub))));
}

const isWaiting = (state) => Boolean(state.asked_to_wait_until) && secondsSince(state.asked_to_wait_until) < 0;

function upstream(name, state) {
  const open = Object.entries(state.left_alone || {});
  const waits = isWaiting(state);
  const [tone, word] = open.length > 0 ? [open.some(([, circuit]) => circuit.needs_a_person) ? "down" : "degraded", "Left alone"]
    : waits ? ["degraded", "Asked to wait"] : state.slowed_to_per_second ? ["degraded", "Slowed down"] : state.calls > 0 ? ["ok", "Healthy"] : ["", "Not called yet"];
  const share = state.calls > 0 ? ` (${(100 * state.errors / state.calls).toFixed(1)}%)` : "";
  return h("div", { class: `upstream ${tone}` },
    h("div", { class: "bar" }, h("h3", {}, name), h("span", { class: "badge" }, word)),
    open.map(([circuit, { reason, since: from, next_probe: next }]) => h("p", { class: "small" },
      `${capital(circuit)}: ${reason}. Since `, since(from), next ? ", next try " : "", next && since(next), ".")),
    waits && h("p", { class: "small" }, "It asked not to be called before ", since(state.asked_to_wait_until), "."),
    state.slowed_to_per_second && h("p", { class: "small" }, `It answers 429 and is called ${state.slowed_to_per_second} times a second at most, more as it bears more.`),
    state.calls > 0 && h("dl", { class: "facts" },
      fact("Calls", count(state.calls)), fact("Failed", count(state.errors) + share),
      fact("Answered 429", count(state.throttled)), fact("Retries saved up", count(state.retries_left))));
}

const KINDS = { products: "Products", "product-models": "Product models", categories: "Categories" };
const KIND = { products: "Product", "product-models": "Product model", categories: "Category" };

function drawReconciliation(state) {
  show($("reconciliation"), state ?? null, () => {
    const kinds = Object.entries(state?.kinds || {});
    if (kinds.length === 0) return h("p", { class: "muted" }, "Nothing has been reconciled yet.");
    return [
      ...kinds.map(([kind, of]) => reconciled(KINDS[kind] || kind, of)),
      h("p", { class: "muted small" }, state.is_walking ? "A walk is under way. " : state.next_walk ? ["Next walk ", since(state.next_walk), ". "] : "No walk is planned. ",
        state.withheld > 0 && `${many(state.withheld, "deletion is", "deletions are")} withheld until the brake is released or a walk finds otherwise.`),
    ];
  });
}

function reconciled(name, { recent = {}, walk = {}, deleted, braked, lag_seconds: lag, blocked }) {
  const share = typeof walk.progress === "number" ? Math.round(walk.progress * 100) : null;
  const walking = walk.running ? [
    h("div", { class: "bar small" }, h("span", {}, "Walking through all"), h("span", { class: "muted" }, share === null ? "" : `${share}%`)),
    h("progress", { max: 100, value: share, "aria-label": `Progress of the walk: ${name}` }),
  ] : [];
  return h("div", { class: "kind" },
    h("div", { class: `bar ${blocked ? "down" : recent.running || walk.running ? "busy" : "ok"}` }, h("h3", {}, name),
      h("span", { class: "badge" }, blocked ? "Blocked" : walk.running ? "Walking" : recent.running ? "Looking" : "At rest")),
    blocked && h("p", { class: "small" }, capital(blocked)),
    walking,
    h("dl", { class: "facts" },
      fact("Behind the PIM", duration(lag)),
      fact("Recent changes", recent.running ? `${count(recent.seen)} seen` : recent.finished_at ? since(recent.finished_at) : "never"),
      fact("Last whole walk", walk.finished_at ? since(walk.finished_at) : "never"),
      fact("Walk: seen, different, missing", `${count(walk.seen)}, ${count(walk.found)}, ${count(walk.missing)}`),
      (deleted > 0 || braked > 0) && fact("Deleted, held back", `${count(deleted)}, ${count(braked)}`)));
}

function drawControls(status) {
  const paused = status.paused_since;
  show($("pause-text"), [paused ?? null], () => paused
    ? ["Pushing is paused ", since(paused), ". Deliveries are taken, and wait."]
    : ["While it is paused, deliveries are taken, and nothing is read from the PIM or sent."]);
  put($("pause"), paused ? "Resume pushing" : "Pause pushing");
  $("pause").dataset.to = paused ? "resume" : "pause";
  $("pause").classList.toggle("primary", Boolean(paused));
  const { holding_since: held, released_until: until } = status.brake;
  const isFree = until && secondsSince(until) < 0;
  const braked = (status.queue?.braked ?? 0) + (status.reconciliation?.withheld ?? 0);
  show($("brake"), [status.brake, braked], () => isFree
    ? ["The brake is released ", h("strong", {}, "until ", clock(until)), "."]
    : held ? [`It holds back deletions that nobody announced since `, since(held), `: ${many(braked, "entity", "entities")}.`]
      : ["The brake stops deletions that nobody announced if they are many. It holds none back."]);
  $("brake-release").classList.toggle("primary", Boolean(held && !isFree));
  const isForeign = status.reasons.some((reason) => reason.cause === "not-adopted");
  const rehearsal = isForeign ? status.rehearsal : null;
  show($("adopt-text"), [isForeign, rehearsal], () => adoptable(isForeign, rehearsal));
  $("adopt").classList.toggle("primary", isForeign);
  // What is shown here is what is adopted, whatever comes to be configured meanwhile.
  $("adopt").dataset.configured = JSON.stringify(status.configured ?? null);
  $("adopt").dataset.shape = rehearsal ? (rehearsal.done ? "counted" : "counting") : "";
  put($("adopt"), rehearsal ? "Adopt the shape" : "Adopt the configured pair");
}

/** What waits to be adopted. */
function adoptable(isForeign, rehearsal) {
  if (!isForeign) return "After the PIM, the destination or the shape was replaced, nothing is pushed until the new one is adopted.";
  if (!rehearsal) return "The PIM or the destination is another one than before. Nothing is pushed until it is adopted.";
  const { push, delete: gone, skip, ignore, unsendable } = rehearsal.would;
  const refused = unsendable > 0 ? `, and refuse ${count(unsendable)}` : "";
  return [`The shape is another one than before. It would push ${count(push)}, delete ${count(gone)}, leave ${count(skip)} as they are, pass over ${count(ignore)}${refused}`,
    rehearsal.done ? "." : " so far: the counting goes on.", " Nothing is pushed until it is adopted."];
}

/** What to ask before that. */
function adoption() {
  const isEmpty = $("adopt-empty").checked;
  $("adopt").dataset.seen = $("adopt").dataset.configured;
  const seen = JSON.parse($("adopt").dataset.seen || "null");
  const pair = seen ? ` It is ${seen.pim} and ${seen.destination}.` : "";
  const forgets = "What was sent before is forgotten, so nothing of it is ever deleted there.";
  const shape = $("adopt").dataset.shape;
  if (!shape) {
    const kept = "From the next tick on, what was sent before counts as sent to this destination.";
    return ["Adopt the configured pair?", `${isEmpty ? `From the next tick on everything is pushed. ${forgets}` : kept}${pair}`, "Adopt", true];
  }
  const deletes = isEmpty ? forgets : shape === "counted" ? "For an hour the brake lets every deletion through."
    : "It was not counted to the end what the shape does: the brake holds deletions back if they are many.";
  return ["Adopt the shape?", `The next walk pushes what differs. ${deletes}`, "Adopt", true];
}

async function drawJournal() {
  if (!$("journal").open) return;
  const { items } = await ask("GET", "/journal");
  show($("journal-list"), items, () => items.length === 0 ? h("li", { class: "muted" }, "Nobody has asked for anything yet.")
    : items.map(({ at, by, asked, sent }) => h("li", {}, since(at), ` by ${by}: ${asked}`, sent && h("code", {}, ` ${sent}`))));
}

function drawMore(status) {
  const { subscription, refused, alerts } = status;
  show($("more"), [subscription, refused, alerts, status.indexed, status.unwanted, status.version, status.since_the_beginning.upserts], () => [
    fact("Known at the destination", many(status.indexed, "entity", "entities")),
    status.unwanted > 0 && fact("Not wanted by the shape", many(status.unwanted, "time")),
    fact("Sent in all", many(status.since_the_beginning.upserts, "upsert")),
    fact("Subscription", subscription ? [`${subscription.kind} `, since(subscription.sent_at), subscription.reason ? `: ${subscription.reason}` : ""] : "nothing heard"),
    fact("Last refused delivery", refused ? [since(refused.at), ` (${refused.channel}: ${refused.reason})`] : "none"),
    Object.entries(alerts).sort(([, one], [, other]) => other.localeCompare(one)).slice(0, 5)
      .map(([cause, at]) => fact(`Alert: ${cause}`, since(at))),
    fact("Version", status.version),
  ]);
}
