// Signing in, and looking again and again.

const EVERY_MS = 3000;
const EVERY_HIDDEN_MS = 20000;
let timer, heard, lettersSeen, pastSeen, round = 0;

function signOut(why = "") {
  sessionStorage.removeItem(KEPT);
  clearTimeout(timer);
  round++;
  lettersSeen = pastSeen = heard = undefined;
  $("app").hidden = true;
  $("sign-in").hidden = false;
  put($("sign-in-error"), why && capital(why));
  $("token").value = "";
  $("token").focus();
  document.title = "akeneo-relay";
}

async function signIn(event) {
  event.preventDefault();
  put($("sign-in-error"), "");
  sessionStorage.setItem(KEPT, $("token").value.trim());
  try {
    take(await ask("GET", "/status"));
    $("token").value = "";
    begin();
  } catch (error) {
    sessionStorage.removeItem(KEPT);
    const wrong = error instanceof Refused ? capital(error.message) : `Not signed in: ${error.message}`;
    put($("sign-in-error"), wrong);
    $("token").select();
  }
}

function begin() {
  $("sign-in").hidden = true;
  $("app").hidden = false;
  $("state-title").setAttribute("tabindex", "-1");
  $("state-title").focus();
  look();
}

function take(status) {
  clockAhead = Date.now() - Date.parse(status.now);
  heard = Date.now();
  $("app").classList.remove("stale");
  $("lost").hidden = true;
  drawStatus(status);
  return status;
}

/** One look: the status each time, the rest where the status says that it has changed. */
async function look() {
  clearTimeout(timer);
  const mine = ++round;
  try {
    const status = take(await ask("GET", "/status"));
    const worked = JSON.stringify([status.last_tick?.at, status.queue?.listed_at, isMonth()]);
    if (pastSeen !== worked) {
      past = await ask("GET", isMonth() ? "/history/month" : "/history");
      pastSeen = worked;
    }
    drawCharts();
    const dead = JSON.stringify([status.queue?.dead, status.since_the_beginning.dead_letters]);
    if (lettersSeen !== dead) {
      try {
        await loadLetters();
      } catch (error) {
        // Whoever may only read does not see them.
        if (error instanceof Refused || error instanceof Lost) throw error;
        put($("dead-summary"), capital(error.message));
      }
      lettersSeen = dead;
    }
  } catch (error) {
    if (mine !== round) return;
    if (error instanceof Refused) return signOut(error.message);
    lose(error);
  }
  if (mine === round) timer = setTimeout(look, document.hidden ? EVERY_HIDDEN_MS : EVERY_MS);
  drawLive();
}

function wake() {
  if (!$("app").hidden) look();
}

/** Says plainly that what is shown is old. */
function lose(error) {
  $("app").classList.add("stale");
  $("state").className = "hero";
  put($("state-title"), "The state is not known");
  drawIcon();
  document.title = "connection lost · akeneo-relay";
  const when = heard ? `What is shown is from ${clock(heard)}.` : "";
  const what = error instanceof Lost ? "The connection to the application is lost." : `The application cannot say how it is: ${error.message}.`;
  if ($("lost").hidden) put($("lost"), `${what} ${when} Trying again every few seconds.`);
  $("lost").hidden = false;
}

function drawLive() {
  const isLost = !$("lost").hidden;
  $("live").classList.toggle("off", isLost);
  put($("live"), isLost ? `Lost ${heard ? duration(Math.round((Date.now() - heard) / 1000)) + " ago" : ""}` : "Live");
}

/** A command for the worker. */
const command = (path, body, text) => async () => {
  await ask("POST", path, body);
  return text;
};

function listen() {
  $("sign-in-form").addEventListener("submit", signIn);
  $("sign-out").addEventListener("click", () => signOut());
  $("dead-search").addEventListener("submit", (event) => {
    event.preventDefault();
    readSearch();
    letters.items = [];
    act(event.submitter || $("dead-more"), () => loadLetters());
  });
  $("dead-more").addEventListener("click", (event) => act(event.currentTarget, () => loadLetters(true)));
  $("replay-all").addEventListener("click", replayAll);
  $("dead-export").addEventListener("click", (event) => act(event.currentTarget, exportLetters));
  $("discard-all").addEventListener("click", (event) => discard(event.currentTarget, ...everything()));
  $("entity-form").addEventListener("submit", (event) => {
    event.preventDefault();
    act($("entity-form").querySelector("button"), loadEntity);
  });
  $("figures").addEventListener("toggle", drawCharts);
  $("figures").addEventListener("toggle", () => past && drawTable(slots(past)));
  $("reconcile-recent").addEventListener("click", (event) => act(event.currentTarget,
    command("/reconcile", { scan: "recent" }, "Asked for: the next tick looks through recent changes")));
  asked("reconcile-full", () => ["Walk through everything?", "All entities are read from the PIM and compared, a page a second. It takes a while and does no harm.", "Walk"],
    () => command("/reconcile", { scan: "full" }, "Asked for: the next tick begins a walk"));
  asked("brake-release", () => ["Release the brake?", "For an hour, all that is gone from the PIM is deleted at the destination, however much. First see that the connection has not lost permissions in the PIM.", "Release", true],
    () => command("/brake/release", undefined, "Asked for: the next tick lets the deletions go"));
  asked("waits-end", () => ["End the waits?", "What asked to be left alone for a while, or to be called less often, is called again at its configured rate. If it still asks, it waits again.", "End the waits"],
    () => command("/waits/end", undefined, "Asked for: the next tick calls again"));
  $("pause").addEventListener("click", (event) => {
    const to = event.currentTarget.dataset.to || "pause";
    act(event.currentTarget, command(`/${to}`, undefined, to === "pause" ? "Asked for: from the next tick on nothing is sent" : "Asked for: the next tick goes on"));
  });
  $("check").addEventListener("click", (event) => act(event.currentTarget, check));
  for (const what of ["connect", "remove"]) $(what).addEventListener("click", (event) => change(event.currentTarget, what));
  $("secret").addEventListener("click", (event) => act(event.currentTarget, newSecret));
  $("journal").addEventListener("toggle", () => act($("journal"), drawJournal));
  asked("adopt", adoption,
    () => command("/adopt", { empty_index: $("adopt-empty").checked, configured: JSON.parse($("adopt").dataset.seen) }, "Asked for: the next tick adopts it"));
  document.addEventListener("visibilitychange", () => document.hidden || wake());
  setInterval(() => {
    if ($("app").hidden) return;
    renewTimes();
    drawLive();
  }, 1000);
}

/** Has the set-up looked at, for which a tick under way is waited for. */
async function check() {
  tell("Looking: this takes up to a minute");
  const { findings } = await ask("POST", "/check", undefined, 120000);
  const levels = { error: "down", warning: "degraded", note: "ok" };
  show($("findings"), findings, () => findings.map(({ level, about, what, remedy }) => h("li", { class: levels[level] },
    h("span", { class: "badge" }, capital(level)), h("span", {}, `${about}: ${what}. ${capital(remedy)}.`))));
  return findings.some(({ level }) => level === "error") ? "Something has to be mended" : "Nothing has to be mended";
}

function asked(id, question, work) {
  $(id).addEventListener("click", async (event) => {
    const button = event.currentTarget;
    if (await confirmed(...question())) await act(button, work());
  });
}

drawRanges();
listen();
if (sessionStorage.getItem(KEPT)) begin();
else signOut();
