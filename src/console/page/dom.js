// Elements are made here and nowhere else. Text is always a text node, never markup: whatever a PIM, a destination or
// an attacker writes is shown as it is.

// What turns the direction of text, ends a line unseen or steers a terminal is shown by its number.
const UNSEEN = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
const visible = (text) =>
  text.replace(UNSEEN, (character) => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0"));

const $ = (id) => document.getElementById(id);

/** An element with attributes, listeners (`onclick`) and children. */
function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for drawings. */
function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  const wanted = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  element.append(...wanted.map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}

function put(element, text) {
  const seen = visible(text ?? "");
  if (element.textContent !== seen) element.textContent = seen;
}

const shown = new WeakMap();

/** Makes an element's content anew where what it shows has changed: what has not keeps focus and selection. */
function show(element, what, make) {
  const text = JSON.stringify(what);
  if (shown.get(element) === text) return;
  shown.set(element, text);
  element.replaceChildren(...[make()].flat(Infinity).filter(Boolean));
}

const numbers = new Intl.NumberFormat("en");
const count = (value) => (typeof value === "number" ? numbers.format(value) : "–");
const many = (value, one, more = one + "s") => `${count(value)} ${value === 1 ? one : more}`;

/** A length of time in its two largest units. */
function duration(seconds) {
  if (typeof seconds !== "number" || !isFinite(seconds)) return "–";
  if (seconds < 1) return seconds === 0 ? "0 s" : "< 1 s";
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => whole >= size);
  const [name, size] = units[first];
  const rest = units[first + 1] && Math.floor((whole % size) / units[first + 1][1]);
  return `${Math.floor(whole / size)} ${name}` + (rest && first < 3 ? ` ${rest} ${units[first + 1][0]}` : "");
}

/** How far this browser's clock is from the application's, in milliseconds. */
let clockAhead = 0;

const secondsSince = (moment) => (Date.now() - clockAhead - Date.parse(moment)) / 1000;

function ago(moment) {
  if (!moment) return "never";
  const seconds = Math.floor(secondsSince(moment));
  if (seconds < -1) return `in ${duration(-seconds)}`;
  return seconds < 2 ? "just now" : `${duration(seconds)} ago`;
}

function clock(moment) {
  const options = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  const date = new Date(moment);
  const far = Math.abs(Date.now() - date) > 72000000;
  return date.toLocaleString([], far ? { ...options, month: "short", day: "numeric" } : options);
}

/** A moment as it passes: the tooltip has it to the second. */
const since = (moment) => h("time", { datetime: moment, title: moment, "data-ago": true }, ago(moment));

function renewTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) put(time, ago(time.dateTime));
}

const fact = (name, ...value) => [h("dt", {}, name), h("dd", {}, ...value)];

let toldUntil;

/** Says what became of something, for a while. */
function tell(text) {
  put($("told"), text);
  clearTimeout(toldUntil);
  toldUntil = setTimeout(() => put($("told"), ""), 8000);
}

/** Asks before something is done; true if it is to be done. */
function confirmed(title, text, yes, isDangerous) {
  const dialog = $("confirm");
  put($("confirm-title"), title);
  put($("confirm-text"), text);
  put($("confirm-yes"), yes);
  $("confirm-yes").classList.toggle("danger", Boolean(isDangerous));
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
