// Models with each other: who is better than whom, how alike they answer, and every sample by every model.

const SHOWN = [
  ["difference", "difference of Overall"],
  ["same", "the same answer, %"],
  ["kappa", "kappa"],
];
const FIRST_ROWS = 20;

// `told` is what comparison_json gives: a task each. It may come later than the page, and again.
function drawComparison(compared) {
  byId("compared").hidden = !compared.length;
  document.querySelector("nav [data-at=compared]").hidden = !compared.length;
  fill(byId("compared-body"), compared.map(comparedTask));
}

// The run of the page that is meant, null where there is none.
function runMeant({ model, dataset, nth }) {
  const places = runs.flatMap((run, place) => (run.model === model && run.dataset === dataset && !run.gone ? [place] : []));
  return places.length > nth ? places[nth] : null;
}

function comparedTask(task) {
  const known = new Map(task.pairs.map((pair) => [`${pair.a} ${pair.b}`, pair]));
  const box = el("div", { class: "compared" });
  const matrix = el("div");
  const table = sampleTable(task);
  const select = el("select", null, SHOWN.map(([name, words]) => option(name, words)));
  const draw = () => fill(matrix, matrixTable(task, known, select.value, table.showPair));
  select.addEventListener("change", draw);
  draw();
  const title = task.dataset ? [`${task.title}, `, data(task.dataset)] : task.title;
  return add(
    box,
    el("h3", null, title),
    task.notes.length ? el("details", null, el("summary", null, counted(task.notes.length, "note")), el("ul", { class: "notes" }, task.notes.map((note) => el("li", null, data(note))))) : null,
    el("div", { class: "filters" }, el("label", null, "Row against column:", select)),
    matrix,
    el("p", { class: "hint" }, `Difference: row less column on the samples that both have; bold where significant (${task.runs.length > 2 ? "Holm over all pairs, p below 0.05" : "p below 0.05"}), grey where not. ${task.runs.length > 2 ? "Place: 95% interval, from the significant differences. " : ""}Same answer: the same ${task.letters ? "letter" : "sum"}; kappa: ${task.letters ? "of right and wrong, 0 for models that fail independently" : "quadratic weighted, of the sums"}. A cell leads to the samples on which the two differ.`),
    table.box,
    itemTable(task, table.address),
  );
}

const signed = (value, unit) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(unit === "percent" ? 1 : 2)}`;
const pWords = (p) => (p < 0.0001 ? "below 0.0001" : p.toFixed(4));

function matrixTable(task, known, what, showPair) {
  const order = [...task.runs.keys()];
  const ranked = task.runs[0].places !== undefined;
  const most = Math.max(...task.pairs.map((pair) => Math.abs(pair.value)), 1e-9);
  const cell = (row, column) => {
    if (row === column) return el("td", { class: "self", "aria-label": "the same run" });
    const pair = known.get(`${Math.min(row, column)} ${Math.max(row, column)}`);
    if (!pair) return el("td");
    const sign = row < column ? 1 : -1;
    const value = sign * pair.value;
    const shows = { difference: signed(value, task.unit), same: pair.same === null ? "–" : pair.same.toFixed(0), kappa: pair.kappa === null ? "–" : pair.kappa.toFixed(2) }[what];
    const ends = !pair.ends.length ? "no interval" : `95% ${(sign < 0 ? pair.ends.map((end) => -end).reverse() : pair.ends).map((end) => signed(end, task.unit)).join(" to ")}`;
    const tip = `${task.runs[row].label} less ${task.runs[column].label}: ${signed(value, task.unit)} (${ends}), adjusted p ${pWords(pair.p)}, ${pair.significant ? "significant" : "not significant"}; same answer ${pair.same === null ? "–" : `${pair.same.toFixed(1)}%`}, kappa ${pair.kappa === null ? "undefined" : pair.kappa.toFixed(2)}; n = ${grouped(pair.n)}`;
    const made = el("td", null, el("button", { type: "button", "data-tip": tip, "aria-label": tip, onclick: () => showPair(row, column) }, shows));
    if (what === "difference") made.className = pair.significant ? (value > 0 ? "ahead" : "behind") : "level";
    else made.className = "share";
    const share = what === "difference" ? Math.abs(value) / most : what === "same" ? (pair.same || 0) / 100 : Math.max(pair.kappa || 0, 0);
    made.style.setProperty("--share", share.toFixed(3));
    return made;
  };
  const line = (run, row) =>
    el(
      "tr",
      null,
      el("th", { scope: "row" }, el("span", { class: "who" }, el("span", { class: "nth" }, row + 1), swatch(runMeant(run)), named(run.label))),
      el("td", { class: "number" }, figure(run.value, task.unit), run.low === undefined || run.low === null ? null : el("span", { class: "ends" }, ` ${figure(run.low, task.unit)} to ${figure(run.high, task.unit)}`)),
      ranked ? el("td", { class: "number" }, run.places[0] === run.places[1] ? run.places[0] : `${run.places[0]}–${run.places[1]}`) : null,
      order.map((column) => cell(row, column)),
    );
  const heads = order.map((column) => el("th", { scope: "col", class: "nth", "data-tip": task.runs[column].label }, column + 1));
  const head = el("tr", null, el("th", { scope: "col" }, "Model"), el("th", { scope: "col", class: "number" }, "Overall"), ranked ? el("th", { scope: "col", class: "number" }, "Place") : null, heads);
  const caption = el("caption", { class: "hidden-text" }, `Models with each other, ${task.title}`);
  const made = el("table", { class: `matrix${order.length > 10 ? " many" : ""}` }, caption, el("thead", null, head), el("tbody", null, task.runs.map(line)));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Matrix of models, ${task.title}` }, made);
}

// Samples x models under a filter; what is chosen stays on this page alone.
function sampleTable(task) {
  const chosen = { filter: "all", a: 0, b: Math.min(1, task.runs.length - 1), rows: FIRST_ROWS };
  const order = [...task.runs.keys()];
  const fails = (run, at) => Boolean(task.errors[run][at]);
  const wrong = task.letters ? "wrong" : "with errors";
  const result = (run, at) => (task.letters ? task.letters[run][at] : task.scores[run][at]);
  const others = (at, is) => order.every((run) => run === chosen.a || fails(run, at) === is);
  const FILTERS = [
    ["all", () => "all samples", () => true],
    ["allwrong", () => `all ${wrong}`, (at) => order.every((run) => fails(run, at))],
    ["onlywrong", () => `only A ${wrong}`, (at) => fails(chosen.a, at) && others(at, false)],
    ["onlyright", () => `all but A ${wrong}`, (at) => !fails(chosen.a, at) && others(at, true)],
    ["differ", () => "A and B differ", (at) => result(chosen.a, at) !== result(chosen.b, at)],
    ["worse", () => `A ${wrong}, B not`, (at) => fails(chosen.a, at) && !fails(chosen.b, at)],
  ];
  const asked = task.samples.some(([, , question]) => question);
  const sums = task.samples.map((_, at) => order.reduce((sum, run) => sum + task.scores[run][at], 0));
  const hardest = [...task.samples.keys()].sort((x, y) => sums[x] - sums[y] || x - y);
  const picks = { filter: FILTERS.map(([name, words]) => option(name, words())), a: order, b: order };
  const selects = {};
  for (const [name, values] of Object.entries(picks)) {
    const options = name === "filter" ? values : order.map((run) => option(String(run), labelled(`${run + 1} ${task.runs[run].label}`)));
    selects[name] = el("select", { dir: "auto", "data-name": name, onchange: () => ((chosen[name] = name === "filter" ? selects.filter.value : Number(selects[name].value)), (chosen.rows = FIRST_ROWS), draw()) }, options);
  }
  const count = el("p", { role: "status", "aria-live": "polite" });
  const holder = el("div");
  const names = { filter: el("label", null, "Samples:", selects.filter), a: el("label", null, "A", selects.a), b: el("label", null, "B", selects.b) };
  const box = el("div", { class: "bysample" }, el("div", { class: "filters" }, Object.values(names), count), holder);

  const address = (at, run, versus) => {
    const [index] = task.samples[at];
    const places = [run, versus].map((place) => (place === null ? null : runMeant(task.runs[place])));
    return places[0] === null ? null : hashOf({ view: "samples", run: places[0], sample: Array.isArray(index) ? index[run] : index, versus: places[1] === places[0] ? null : places[1], q: "", facets: new Map() });
  };
  const cell = (at, run) => {
    const bad = fails(run, at);
    const words = task.letters ? `${task.letters[run][at] === null ? "–" : task.letters[run][at]}${bad ? " ✗" : ""}` : scoreText(task.scores[run][at]);
    const href = address(at, run, null);
    return el("td", { class: bad ? "bad" : "" }, href ? el("a", { href }, data(words)) : data(words));
  };
  const line = (at) => {
    const [index, about, question, answer] = task.samples[at];
    const paired = chosen.filter === "differ" || chosen.filter === "worse";
    const href = address(at, chosen.filter === "all" || chosen.filter === "allwrong" ? 0 : chosen.a, paired ? chosen.b : null);
    const name = data(Array.isArray(index) ? index[0] : index);
    return el("tr", null, el("th", { scope: "row" }, href ? el("a", { href }, name) : name, el("span", { class: "meta" }, " ", data(about))), asked && el("td", { class: "asks" }, data(question)), task.letters && el("td", null, data(answer || "–")), order.map((run) => cell(at, run)));
  };
  function draw() {
    const [, , keeps] = FILTERS.find(([name]) => name === chosen.filter);
    for (const [name, value] of Object.entries(chosen)) if (selects[name]) selects[name].value = String(value);
    names.a.hidden = chosen.filter === "all" || chosen.filter === "allwrong";
    names.b.hidden = chosen.filter !== "differ" && chosen.filter !== "worse";
    const found = hardest.filter(keeps);
    count.textContent = `${grouped(found.length)} of ${counted(task.samples.length, "sample")} that all have`;
    const shown = found.slice(0, chosen.rows);
    const heads = order.map((run) => el("th", { scope: "col", class: "nth", "data-tip": task.runs[run].label }, run + 1));
    const head = el("tr", null, el("th", { scope: "col" }, "Sample"), asked && el("th", { scope: "col", class: "asks" }, "Question"), task.letters && el("th", { scope: "col" }, "Answer"), heads);
    const table = el("table", { class: "results" }, el("caption", { class: "hidden-text" }, `Samples by models, ${task.title}`), el("thead", null, head), el("tbody", null, shown.map(line)));
    const more = found.length > shown.length && el("button", { type: "button", class: "noprint", onclick: () => ((chosen.rows += 10 * FIRST_ROWS), draw()) }, `Show more (${grouped(found.length - shown.length)} left)`);
    fill(holder, found.length ? el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Samples by models, ${task.title}` }, table) : el("p", { class: "hint" }, "No sample."), more);
  }
  draw();
  const showPair = (a, b) => {
    Object.assign(chosen, { filter: "differ", a, b, rows: FIRST_ROWS });
    draw();
    box.scrollIntoView({ block: "nearest" });
    selects.filter.focus({ preventScroll: true });
  };
  return { box, showPair, address: (at) => address(at, 0, null) };
}
