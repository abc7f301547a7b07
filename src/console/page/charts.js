// The charts: drawn from the five minutes of a day, or the hours of a month.

const RANGES = [["3 h", 3], ["12 h", 12], ["24 h", 24], ["30 d", 720]];
const isMonth = () => hours > 24;
const HEIGHT = 120;
let hours = 3;
let past;

/** A value for each of these times: where the worker had nothing to do there is no bucket, and what was left stayed. */
function slots(history) {
  const size = history.bucket_seconds;
  const now = Date.parse(history.now) / 1000;
  const end = now - (now % size);
  const first = end - hours * 3600 + size;
  const places = new Map(history.begin.map((begin, at) => [begin, at]));
  let left = 0;
  history.begin.forEach((begin, at) => {
    if (begin < first) left = history.depth_left[at];
  });
  const found = [];
  for (let begin = first; begin <= end; begin += size) {
    const at = places.get(begin);
    const value = (column, none) => (at === undefined ? none : history[column][at]);
    found.push({
      begin,
      depth: value("depth_max", left),
      events: value("events", 0),
      entities: value("entities", 0),
      median: value("lag_median_seconds", null),
      p95: value("lag_p95_seconds", null),
    });
    left = value("depth_left", left);
  }
  return found;
}

function drawCharts() {
  if (!past || past.bucket_seconds > 300 !== isMonth()) return;
  const data = slots(past);
  const sum = (member) => data.reduce((total, slot) => total + slot[member], 0);
  const most = (member) => Math.max(0, ...data.map((slot) => slot[member] ?? 0));
  const depth = $("tiles").dataset.depth;
  show($("charts"), [data, hours, depth], () => [
    chart("backlog", "Backlog", data, [["depth", "one", "Waiting", "area"]], count,
      `${many(most("depth"), "event")} at most`),
    chart("throughput", `Throughput in ${duration(past.bucket_seconds)}`, data, [["entities", "two", "Entities done", "bars"], ["events", "one", "Events listed", "line"]], count,
      `${many(sum("entities"), "entity", "entities")}, ${many(sum("events"), "event")}`),
    chart("lag", "From event to destination", data, [["p95", "three", "95 of 100 within", "line"], ["median", "two", "Half within", "line"]], duration,
      most("p95") ? `${duration(most("p95"))} at most (p95)` : "no pushes"),
  ]);
  if ($("figures").open) drawTable(data);
}

function drawTable(data) {
  const busy = data.filter((slot) => slot.depth || slot.events || slot.entities).reverse();
  const columns = [["depth", "Waiting", count], ["events", "Events", count], ["entities", "Entities", count], ["median", "Lag, median", duration], ["p95", "Lag, p95", duration]];
  show($("figures-table"), busy, () => busy.length === 0 ? h("p", { class: "empty" }, "Nothing happened.") : h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"), columns.map(([, name]) => h("th", { scope: "col", class: "right" }, name)))),
    h("tbody", {}, busy.map((slot) => h("tr", {}, h("th", { scope: "row" }, clock(slot.begin * 1000)),
      columns.map(([member, , form]) => h("td", { class: "right" }, form(slot[member]))))))));
}

/** A round number that is no less. */
function ceiling(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * size).find((step) => step >= value);
}

function chart(id, title, data, series, form, summary) {
  const top = ceiling(Math.max(1, ...series.flatMap(([member]) => data.map((slot) => slot[member] ?? 0))));
  const width = data.length;
  const y = (value) => HEIGHT - (value / top) * (HEIGHT - 8);
  const shapes = series.map(([member, color, , form]) => shape(form, color, data.map((slot) => slot[member]), y));
  const cursor = s("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
  const drawing = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${summary}` }, shapes, cursor);
  const reading = h("span", {}, summary);
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const at = Math.max(0, Math.min(width - 1, Math.floor(((event.clientX - box.left) / box.width) * width)));
    fill(cursor, { x1: at + 0.5, x2: at + 0.5, visibility: "visible" }, []);
    const values = series.map(([member]) => form(data[at][member]));
    put(reading, `${clock(data[at].begin * 1000)}: ${values.join(" / ")}`);
  });
  drawing.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    put(reading, summary);
  });
  return h("figure", { id: `chart-${id}` },
    h("figcaption", {}, h("h3", {}, title), reading),
    h("div", { class: "plot" }, drawing, h("span", { class: "top-label" }, form(top))),
    h("div", { class: "axis", "aria-hidden": "true" }, h("span", {}, clock(data[0].begin * 1000)), h("span", {}, "now")),
    h("div", { class: "legend" }, series.length > 1 && series.map(([, color, name]) => h("span", { class: color }, name))));
}

function shape(form, color, values, y) {
  const place = (value, at) => `${at + 0.5} ${y(value).toFixed(1)}`;
  if (form === "bars") {
    const bars = values.map((value, at) => value ? `M${at + 0.12} ${HEIGHT}V${y(value).toFixed(1)}H${at + 0.88}V${HEIGHT}Z` : "");
    return s("path", { class: `column-bar ${color}`, d: bars.join("") });
  }
  let pen = "M";
  const line = values.map((value, at) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    // A value that stands alone is a dash.
    const isAlone = (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null;
    const text = isAlone ? `M${at + 0.15} ${y(value).toFixed(1)}h.7` : pen + place(value, at);
    pen = "L";
    return text;
  }).join("");
  const paths = [s("path", { class: `line ${color}`, d: line })];
  if (form === "area") {
    const closed = `M.5 ${HEIGHT}L${values.map(place).join("L")}L${values.length - 0.5} ${HEIGHT}Z`;
    paths.unshift(s("path", { class: `area ${color}`, d: closed }));
  }
  return paths;
}

function drawRanges() {
  $("range").replaceChildren(...RANGES.map(([name, length]) => h("button", {
    type: "button", "aria-pressed": String(length === hours), onclick: (event) => {
      hours = length;
      for (const button of $("range").children) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      drawCharts();
      wake();
    },
  }, name)));
}
