// The leaderboards: own runs and baselines beside the published rows.

const shownRows = { own: true, baseline: true, published: true, category: "", comparable: false };
const KINDS = new Map([["own", "own run"], ["baseline", "own run, baseline"], ["published", "published"]]);

function startBoard() {
  const categories = [...new Set(told.boards.flatMap((board) => board.rows.map((row) => row.category)).filter(Boolean))].sort();
  const box = (name, label) => {
    const input = el("input", { type: "checkbox", id: `board-${name}` });
    input.checked = shownRows[name];
    input.addEventListener("change", () => ((shownRows[name] = input.checked), drawBoards()));
    return el("label", null, input, label);
  };
  const select = el("select", { id: "board-category", onchange: () => ((shownRows.category = select.value), drawBoards()) });
  add(select, option("", "all"), ...categories.map((name) => option(name, name)));
  fill(
    byId("board-filters"),
    box("own", "own runs"),
    box("baseline", "baselines"),
    box("published", "published"),
    el("label", null, "Category", select),
    box("comparable", "comparable only"),
  );
  drawBoards();
}

function drawBoards() {
  fill(byId("board-tables"), ...told.boards.map(boardTable));
}

function boardTable(board) {
  board.sort = board.sort || { column: "rank", down: false };
  // Ranks are those of the whole board, whatever is filtered out; what is not comparable, or not verified, has none.
  const rows = board.rows.filter(
    (row) =>
      shownRows[row.kind] && (!shownRows.category || row.category === shownRows.category) && (!shownRows.comparable || row.comparable === "yes"),
  );
  sortRows(rows, board);
  const columns = [
    ["rank", "#", true],
    ["model", "Model"],
    ["kind", "Kind"],
    ...board.measures.map((measure, place) => [place, measure, true]),
    ["n", "n", true],
  ];
  const heads = columns.map(([column, label, number]) => {
    const sorted = board.sort.column === column;
    const button = el("button", { type: "button", "data-column": column }, label);
    button.addEventListener("click", () => {
      board.sort = { column, down: sorted ? !board.sort.down : typeof column === "number" || column === "n" };
      const place = byId(`board-${board.task}`);
      place.replaceWith(boardTable(board));
      byId(`board-${board.task}`).querySelector(`[data-column="${column}"]`).focus();
    });
    const order = sorted ? (board.sort.down ? "descending" : "ascending") : "none";
    return el("th", { scope: "col", class: number && "number", "aria-sort": order }, button);
  });
  heads.splice(4, 0, el("th", { scope: "col", class: "scale" }, `0 – ${board.scale}`));
  const unit = board.unit === "percent" ? "percent of questions" : "means of 0–2 a dimension, Overall their sum, 0–8";
  const sources = [...new Set(board.rows.map((row) => row.source).filter(Boolean))].join("; ");
  const table = el(
    "table",
    { class: "board" },
    el("caption", null, board.title, el("span", { class: "meta" }, `${unit}; ${counted(rows.length, "row")}; published: ${sources}`)),
    el("thead", null, el("tr", null, heads)),
    el("tbody", null, rows.map((row) => boardRow(board, row))),
  );
  return el("div", { class: "scroll", id: `board-${board.task}`, tabindex: 0, role: "region", "aria-label": `Leaderboard, ${board.title}` }, table);
}

function sortRows(rows, board) {
  const { column, down } = board.sort;
  const value = (row) => (typeof column === "number" ? row.values[column] : row[column]);
  const known = rows.filter((row) => value(row) !== null && value(row) !== undefined);
  const rest = rows.filter((row) => !known.includes(row));
  known.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const order = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
    return down ? -order : order;
  });
  rows.splice(0, rows.length, ...known, ...rest);
}

function boardRow(board, row) {
  const own = row.run !== null;
  const kind = row.category === "human" ? `${row.kind} human` : row.kind;
  const settings = [row.dataset, row.judge && `judge ${row.judge}`, row.protocol && row.protocol !== row.judge && `protocol ${row.protocol}`, row.images && row.images !== 'kit' && `images ${row.images}`, row.created && row.created.slice(0, 10)];
  const name = el("th", { scope: "row", title: row.source }, data(row.model));
  if (own) {
    add(name, el("span", { class: "meta" }, data(settings.filter(Boolean).join(" · "))));
    if (row.comparable !== "yes") add(name, el("span", { class: `because ${row.comparable}` }, `${row.standing}: `, data(row.because.join("; ") || "the result does not say why")));
    add(name, el("a", { class: "meta noprint", href: samplesHash(row.run, [["task", board.task]]) }, "samples"));
  }
  const cells = row.values.map((value, place) => {
    const ends = row.intervals[place];
    return el(
      "td",
      { class: "number" },
      figure(value, board.unit),
      ends && el("span", { class: "ends" }, `${figure(ends[0], board.unit)} to ${figure(ends[1], board.unit)}`),
    );
  });
  cells.splice(1, 0, el("td", { class: "scale" }, track(row.values[0], row.intervals[0], board)));
  return el(
    "tr",
    { class: `${kind}${own ? " own" : ""}` },
    el("td", { class: "number" }, row.rank === null ? "–" : row.rank),
    name,
    el("td", { class: "kind" }, KINDS.get(row.kind), row.category && row.category !== row.kind ? [", ", data(row.category)] : null),
    cells,
    el("td", { class: "number" }, row.n === null ? "–" : grouped(row.n)),
  );
}

// A dot with its interval on the scale; the numbers stand beside it.
function track(value, ends, board) {
  const made = el("span", { class: "track", "aria-hidden": "true" });
  if (value === null) return made;
  const at = (number) => `${(100 * number) / board.scale}%`;
  if (ends) {
    const bar = el("i");
    bar.style.left = at(ends[0]);
    bar.style.width = at(ends[1] - ends[0]);
    add(made, bar);
  }
  const dot = el("b");
  dot.style.left = at(value);
  return add(made, dot);
}
