// The administration's routes. The token lives in this tab and nowhere else.

const KEPT = "akeneo-relay-token";
const BASE = location.pathname.replace(/\/console\/?$/, "") + "/admin";
const PATIENCE_MS = 15000;

class Refused extends Error {} // The token is not, or no longer, the right one.
class Lost extends Error {} // Nobody answered.

async function ask(method, path, body, patience = PATIENCE_MS, isText = false) {
  const token = sessionStorage.getItem(KEPT) || "";
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Refused("A token has letters, digits and signs only, and no spaces.");
  const request = { method, headers: { authorization: `Bearer ${token}` }, cache: "no-store", redirect: "error" };
  if (body !== undefined) request.body = JSON.stringify(body);
  let answer, text;
  try {
    answer = await fetch(BASE + path, { ...request, signal: AbortSignal.timeout(patience) });
    text = await answer.text();
  } catch (error) {
    throw new Lost(error.message);
  }
  if (isText && answer.ok) return text;
  let document = {};
  try {
    document = JSON.parse(text);
  } catch {
    // A proxy answered, not the application.
    if (answer.ok || answer.status >= 500) throw new Lost(`something else answered (${answer.status})`);
  }
  if (answer.status === 401) throw new Refused(document.detail || "the token was refused");
  if (!answer.ok) throw new Error(document.detail || `answered ${answer.status}`);
  return document;
}

/** Does what a person asked for while its button waits, and says what became of it. */
async function act(button, work) {
  button.disabled = true;
  try {
    const text = await work();
    if (text) tell(text);
  } catch (error) {
    if (error instanceof Refused) signOut(error.message);
    else tell(error instanceof Lost ? "Nobody answered: it may not have been done" : `Not done: ${error.message}`);
  } finally {
    button.disabled = false;
    wake();
  }
}
