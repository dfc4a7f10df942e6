"use strict";
// Draws the page's charts in the page's own colours, light, dark or on paper, and lists its jobs a page at a time.
const told = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const at = id => document.getElementById(id);
const PAPER_PX = 690; // the width of A4 inside its margins
const EACH_PX = 20;
let paper = false;
let following = false;

const narrow = () => !paper && innerWidth < 600;

// A colour that begins with @ is one of the page's own.
function painted(value, key = "") {
  if (typeof value === "string") {
    return key.endsWith("color") && value[0] === "@" ? getComputedStyle(root).getPropertyValue("--" + value.slice(1)).trim() : value;
  }
  if (Array.isArray(value)) return typeof value[0] === "object" && !Array.isArray(value[0]) ? value.map(each => painted(each)) : value;
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, painted(each, name)]));
}

function draw(id, figure) {
  const chart = at("chart-" + id);
  const data = painted(figure.data);
  const layout = painted(figure.layout);
  if (figure.over_time) {
    for (const trace of data) {
      if (trace.x || trace.base) continue;
      trace.x = told.minutes;
      trace.customdata = trace.z ? trace.z.map(() => told.said) : told.said;
    }
    // The last of all is the first that a label over all lists, and tells the time.
    if (layout.hovermode === "x unified") data.push({type: "scatter", mode: "lines", x: told.minutes, y: data[0].y, customdata: told.said, name: "",
      showlegend: false, line: {width: 0, shape: "hv"}, hovertemplate: "%{customdata}<extra></extra>"});
    if (narrow()) for (const key of ["tickvals", "ticktext"]) layout.xaxis[key] = layout.xaxis[key].filter((_, n) => n % 2 === 0);
  }
  const entries = layout.showlegend ? data.filter(trace => trace.showlegend !== false).length : 0;
  if (narrow()) {
    layout.margin.l = 44;
    if (data[0]?.type === "waterfall") { // the numbers beside the bars need as much room as on a wide screen
      const [low, high] = layout.xaxis.range;
      layout.xaxis.range = [low - 0.35 * (high - low), high + 0.1 * (high - low)];
    }
    layout.height += 19 * Math.max(0, Math.ceil(entries / 2) - 1);
  }
  if (paper) layout.width = PAPER_PX;
  if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
  const options = {responsive: true, displaylogo: false, displayModeBar: narrow() ? false : "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]]};
  const range = chart.layout && figure.over_time && !paper && chart.layout.xaxis.range;
  if (range) layout.xaxis.range = range.slice();
  const first = !chart.layout;
  chart.style.minHeight = layout.height + "px";
  Plotly.react(chart, data, layout, options);
  if (first && figure.over_time) chart.on("plotly_relayout", change => follow(chart, change));
}

// All charts over time show the same hours.
async function follow(chart, change) {
  if (following || !Object.keys(change).some(key => key.startsWith("xaxis."))) return;
  following = true;
  const range = chart.layout.xaxis.range.slice();
  const others = [...document.querySelectorAll(".over-time")].filter(other => other !== chart);
  await Promise.all(others.map(other => Plotly.relayout(other, {"xaxis.range": range.slice()})));
  following = false;
}

function drawAll() {
  for (const [id, figure] of Object.entries(told.figures)) {
    at("chart-" + id).classList.toggle("over-time", figure.over_time);
    draw(id, figure);
  }
  if (told.jobs) drawJobs();
}

// Jobs: the bars and the table show the same page of those that were found.
const PAGE = 40;
let from = 0;

const clock = told.zone && new Intl.DateTimeFormat("en-GB", {timeZone: told.zone, weekday: "short", day: "2-digit", month: "short", hour: "2-digit",
  minute: "2-digit", hourCycle: "h23"});
const local = minute => clock.format(new Date(told.start_ms + 60000 * minute)).replaceAll(",", "");
const plain = text => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const wrapped = text => plain(text.replace(narrow() ? /(.{30}\S* )/g : /(.{60}\S* )/g, "$1\n")).replaceAll("\n", "<br>");
const number = (value, digits = 1) => value === null ? "" : value.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits});

function found() {
  const {jobs} = told;
  const asked = at("jobs-find").value.trim().toLowerCase();
  const order = at("jobs-order").value;
  const holds = jobs.words.map(word => word.toLowerCase().includes(asked));
  const rows = [...jobs.id.keys()].filter(i => jobs.id[i].toLowerCase().includes(asked) || holds[jobs.tenant[i]] || holds[jobs.pool[i]] || holds[jobs.reason[i]]);
  const sign = order === "submit" ? 1 : -1;
  return rows.sort((a, b) => sign * ((jobs[order][a] ?? -1) - (jobs[order][b] ?? -1)) || a - b);
}

function bars(rows) {
  const {jobs, minutes} = told;
  const end = minutes[minutes.length - 1];
  const inside = minute => Math.min(Math.max(minute, 0), end);
  const kinds = new Map();
  const add = (name, style, row, begins, ends, text) => {
    if (!kinds.has(name)) kinds.set(name, {type: "bar", orientation: "h", name, base: [], x: [], y: [], hovertext: [], textposition: "none",
      hovertemplate: "%{hovertext}<extra></extra>", hoverlabel: {align: "left"}, ...style});
    const trace = kinds.get(name);
    trace.base.push(begins);
    trace.x.push(ends - begins);
    trace.y.push(row);
    trace.hovertext.push(text);
  };
  rows.forEach((i, row) => {
    const spans = jobs.spans[i];
    const last = spans[spans.length - 1];
    const text = [plain(jobs.id[i]), `${jobs.gpus[i]} GPUs in ${plain(jobs.words[jobs.pool[i]])}`, wrapped(jobs.words[jobs.reason[i]]),
      `submitted ${local(jobs.submit[i])}`, ...spans.length ? [`starts ${local(spans[0])}`, `${jobs.finished[i] ? "ends" : "last runs"} ${local(last)}`] : [],
      `deadline ${local(jobs.deadline[i])}`, `${number(jobs.done_gpu_h[i])} of ${number(jobs.work_gpu_h[i])} GPU h done`].join("<br>");
    const [name, color] = jobs.missed[i] ? ["submission to deadline, missed", "#d55e00"] : ["submission to deadline", "@soft"];
    add(name, {width: 0.9, opacity: 0.3, marker: {color}}, row, inside(jobs.submit[i]), inside(jobs.deadline[i]), text);
    const pool = jobs.words[jobs.pool[i]];
    for (let n = 0; n < spans.length; n += 2)
      add("runs in " + plain(pool), {width: 0.6, marker: {color: jobs.colors[pool] ?? "#0072b2"}}, row, spans[n], spans[n + 1], text);
  });
  return [...kinds.values()].sort((a, b) => b.width - a.width);
}

function drawJobs() {
  const {jobs} = told;
  const rows = found();
  from = Math.max(0, Math.min(from, PAGE * Math.floor((rows.length - 1) / PAGE)));
  const shown = rows.slice(from, from + PAGE);
  const short = text => text.length > 14 ? text.slice(0, 13) + "…" : text;
  const lines = Math.max(shown.length, 2);
  const layout = structuredClone(jobs.layout);
  layout.height = 110 + EACH_PX * lines;
  Object.assign(layout.yaxis, {range: [lines - 0.5, -0.5], tickvals: shown.map((_, n) => n), ticktext: shown.map(i => plain(short(jobs.id[i])))});
  at("chart-jobs").classList.add("over-time");
  draw("jobs", {data: bars(shown), layout, over_time: true});
  at("jobs-shown").textContent = rows.length ? `${from + 1} to ${from + shown.length} of ${number(rows.length, 0)}` +
    (rows.length < jobs.id.length ? ` found among ${number(jobs.id.length, 0)} jobs` : " jobs") : "no job has these words";
  at("jobs-before").disabled = from === 0;
  at("jobs-after").disabled = from + PAGE >= rows.length;
  at("jobs-table").tBodies[0].replaceChildren(...shown.map(i => {
    const spans = jobs.spans[i];
    const times = [jobs.submit[i], spans[0], jobs.finished[i] ? spans[spans.length - 1] : undefined, jobs.deadline[i]];
    const cells = [jobs.id[i], jobs.words[jobs.reason[i]], number(jobs.gpus[i], 0), jobs.words[jobs.pool[i]], jobs.words[jobs.tenant[i]],
      ...times.map(minute => minute === undefined ? "" : local(minute)), number(jobs.deferred_h[i]),
      `${number(jobs.done_gpu_h[i])} of ${number(jobs.work_gpu_h[i])}`, number(jobs.cost[i], 2)];
    return line(cells, n => n === 2 || n > 8);
  }));
}

function line(cells, numeric, tag = "td") {
  const row = document.createElement("tr");
  cells.forEach((text, n) => {
    const cell = document.createElement(n ? tag : "th");
    if (cell.tagName === "TH") cell.scope = tag === "th" ? "col" : "row";
    if (numeric(n)) cell.className = "number";
    cell.textContent = text;
    row.append(cell);
  });
  return row;
}

// A table by step is made when it is opened.
for (const [id, {columns, digits}] of Object.entries(told.numbers)) {
  at(id + "-details").addEventListener("toggle", () => {
    const table = at(id + "-table");
    if (table.tHead) return;
    const names = Object.keys(columns);
    table.createTHead().append(line(["from", ...names], n => n > 0, "th"));
    table.createTBody().append(...told.said.slice(0, -1).map((said, t) => line([said, ...names.map(name => number(columns[name][t], digits[name]))], n => n > 0)));
  });
}

if (told.jobs) {
  const turned = by => () => { from += by; drawJobs(); };
  at("jobs-before").addEventListener("click", turned(-PAGE));
  at("jobs-after").addEventListener("click", turned(PAGE));
  for (const id of ["jobs-find", "jobs-order"]) at(id).addEventListener("input", () => { from = 0; drawJobs(); });
}
for (const turn of ["(prefers-color-scheme: dark)", "(max-width: 599px)"]) matchMedia(turn).addEventListener("change", drawAll);
function onPaper(is) {
  paper = is;
  root.classList.toggle("paper", is);
  drawAll();
}
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => {
  onPaper(false);
  for (const chart of document.querySelectorAll(".chart")) Plotly.Plots.resize(chart); // as wide as the screen again
});
drawAll();
