// Where a run fails: a table of shares, each cell a link to its samples.

const FEW = 10;
const crossed = { rows: "", columns: "" };

function drawFailures() {
  if (!isLoaded(state.run)) return fill(byId("failures-body"), el("p", { class: "hint" }, "Reading the samples …"));
  fill(byId("failures-body"), ...runs[state.run].parts.map((part) => failuresOf(part)));
}

function failuresOf(part) {
  const found = items[state.run].filter((item) => item.sample.task === part.task);
  const failed = found.filter((item) => item.answer.bad);
  const axes = AXES.filter(([name]) => new Set(found.map((item) => item.sample[name])).size > 1).map(([name]) => name);
  const box = el("div");
  const meaning = isChoice(part.task) ? "wrong, or without an answer" : "with an error that can be told";
  add(box, el("h3", null, part.title));
  if (!found.length) return add(box, el("p", { class: "hint" }, "There are no samples."));
  const all = el("a", { href: samplesHash(state.run, [["task", part.task], ["outcome", FAILED]]) }, `Show the ${grouped(failed.length)} failed`);
  add(box, el("p", { class: "hint" }, `${grouped(failed.length)} of ${counted(found.length, "sample")} failed (${meaning}). `, failed.length ? all : null));
  const facet = FACETS.find(({ name }) => name === "kind");
  const kinds = counts(facet, failed).map(([kind, n]) =>
    el("li", null, el("a", { class: "chip", href: samplesHash(state.run, [["task", part.task], ["kind", kind]]) }, data(kind), ` ${grouped(n)}`)),
  );
  if (kinds.length) add(box, el("ul", { class: "chips", "aria-label": "Kinds of error" }, kinds));
  if (part.groups.length) add(box, groupTable(part));
  if (!axes.length) return box;
  const holder = el("div");
  const pick = (name, label, fallback) => {
    const chosen = axes.includes(crossed[name]) ? crossed[name] : fallback;
    const select = el("select", null, axes.map((axis) => option(axis, AXIS_TITLES.get(axis), axis === chosen)));
    select.addEventListener("change", () => ((crossed[name] = select.value), draw()));
    return [select, el("label", null, label, select)];
  };
  const [rows, rowsLabel] = pick("rows", "Rows", axes[0]);
  const [columns, columnsLabel] = pick("columns", "Columns", axes[1] || axes[0]);
  const draw = () => fill(holder, failureTable(part, found, rows.value, columns.value));
  draw();
  return add(box, el("div", { class: "filters" }, rowsLabel, columnsLabel), holder);
}

// Groups that fail more often than chance allows, each a link to its failed samples.
function groupTable(part) {
  const rows = part.groups.map((group) => {
    const values = Object.entries(group.values);
    const names = values.flatMap(([axis, value], place) => [place ? " · " : "", el("span", { class: "plain" }, `${AXIS_TITLES.get(axis) || axis} `), data(value)]);
    const cells = [
      [`${group.share.toFixed(0)}% (${grouped(group.count)} of ${grouped(group.of)})`],
      [`${group.low.toFixed(0)} to ${group.high.toFixed(0)}%`],
      [group.n_clusters < group.of ? grouped(group.n_clusters) : "–"],
      [group.p < 0.0001 ? "<0.0001" : group.p.toFixed(4)],
    ];
    const link = el("a", { href: samplesHash(state.run, [["task", part.task], ...values, ["outcome", FAILED]]) }, names);
    return el("tr", null, el("th", { scope: "row" }, link), cells.map((cell) => el("td", { class: "number" }, cell)));
  });
  const heads = ["Group", "Failed", "95% interval", "Images", "p (Holm)"].map((head, place) => el("th", { scope: "col", class: place ? "number" : null }, head));
  const table = el("table", { class: "groups" }, el("thead", null, el("tr", null, heads)), el("tbody", null, rows));
  const name = `Groups that fail more often than chance allows, ${part.title}`;
  return el(
    "div",
    null,
    el("h4", null, "Groups that fail more often than chance allows"),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": name }, table),
    el("p", { class: "hint" }, "All combinations of one to four axes were looked at, and p is adjusted for that; what a shown group explains is not shown. A group leads to its failed samples."),
  );
}

function failureTable(part, found, rowAxis, columnAxis) {
  const valuesOf = (axis) => [...new Set(found.map((item) => item.sample[axis]).filter((value) => value !== undefined))].sort(bySeverity);
  const rows = valuesOf(rowAxis);
  const columns = rowAxis === columnAxis ? [] : valuesOf(columnAxis);
  const pairs = new Map();
  const count = (key, item) => {
    const cell = pairs.get(key) || { n: 0, bad: 0 };
    cell.n += 1;
    cell.bad += item.answer.bad ? 1 : 0;
    pairs.set(key, cell);
  };
  const key = (row, column) => JSON.stringify([row, column]);
  for (const item of found) {
    const [row, column] = [item.sample[rowAxis], item.sample[columnAxis]];
    count(key(null, null), item);
    if (row !== undefined) count(key(row, null), item);
    if (columns.length && column !== undefined) count(key(null, column), item);
    if (columns.length && row !== undefined && column !== undefined) count(key(row, column), item);
  }
  const cell = (row, column) => {
    const numbers = pairs.get(key(row, column));
    if (!numbers) return el("td", null, el("span", { class: "none" }, "–"));
    const share = numbers.bad / numbers.n;
    const facets = [["task", part.task], ["outcome", FAILED]];
    if (row !== null) facets.push([rowAxis, row]);
    if (column !== null) facets.push([columnAxis, column]);
    const words = `${(100 * share).toFixed(0)}%`;
    const of = el("span", { class: "of" }, `${grouped(numbers.bad)} of ${grouped(numbers.n)}`);
    const total = row === null || column === null ? " total" : "";
    const few = numbers.n < FEW ? " few" : "";
    const inside = numbers.bad ? el("a", { href: samplesHash(state.run, facets) }, words, of) : el("span", { class: "none" }, words, of);
    const made = el("td", { class: `cell${total}${few}` }, inside);
    made.style.setProperty("--share", share.toFixed(3));
    return made;
  };
  const head = el("tr", null, el("th", { scope: "col" }, AXIS_TITLES.get(rowAxis)), columns.map((column) => el("th", { scope: "col", class: "number" }, data(column))), el("th", { scope: "col", class: "number" }, "All"));
  const line = (row) => el("tr", null, el("th", { scope: "row" }, row === null ? "All" : data(row)), columns.map((column) => cell(row, column)), cell(row, null));
  const table = el("table", { class: "map" }, el("caption", { class: "hidden-text" }, `Share of failed samples, ${part.title}`), el("thead", null, head), el("tbody", null, rows.map(line), line(null)));
  const without = [...new Set([rowAxis, columnAxis])].map((axis) => [axis, found.filter((item) => item.sample[axis] === undefined).length]);
  const left = without.filter(([, n]) => n).map(([axis, n]) => ` ${counted(n, "sample")} without a ${AXIS_TITLES.get(axis).toLowerCase()} ${n === 1 ? "is" : "are"} counted under All alone.`);
  return el(
    "div",
    null,
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Failed samples, ${part.title}` }, table),
    el("p", { class: "hint" }, `Share of failed samples; a cell leads to them. Italics: fewer than ${FEW} samples.`, left),
  );
}

const LEVELS = ["none", "mild", "moderate", "severe", "Yes-or-No", "What", "How"];
function bySeverity(a, b) {
  const [x, y] = [LEVELS.indexOf(a), LEVELS.indexOf(b)];
  return x >= 0 && y >= 0 ? x - y : natural.compare(a, b);
}
