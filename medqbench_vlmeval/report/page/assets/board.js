// The leaderboards: own runs and baselines beside the published rows.

const shownRows = { own: true, baseline: true, published: true, category: "", comparable: false };
const KINDS = new Map([["own", "own run"], ["baseline", "own run, baseline"], ["published", "published"]]);
const SIGNS = new Map([["unverified", "§"], ["no", "†"]]);

function startBoard() {
  const categories = [...new Set(told.boards.flatMap((board) => board.rows.map((row) => row.category)).filter(Boolean))].sort();
  const box = (name, label) => {
    const input = el("input", { type: "checkbox", id: `board-${name}` });
    input.checked = shownRows[name];
    input.addEventListener("change", () => ((shownRows[name] = input.checked), drawBoards()));
    return el("label", { class: "toggle" }, input, label);
  };
  const select = el("select", { id: "board-category", onchange: () => ((shownRows.category = select.value), drawBoards()) });
  add(select, option("", "all"), ...categories.map((name) => option(name, name)));
  fill(
    byId("board-filters"),
    box("own", "own runs"),
    box("baseline", "baselines"),
    box("published", "published"),
    box("comparable", "comparable only"),
    el("label", { class: "toggle" }, "Category", select),
  );
  drawBoards();
}

function drawBoards() {
  fill(byId("board-tables"), ...told.boards.map(boardTable));
}

const reasonsOf = (row) => (row.comparable === "yes" ? [] : row.because.length ? row.because : ["the result does not say why"]);

function boardTable(board) {
  board.sort = board.sort || { column: "rank", down: false };
  // Ranks are those of the whole board, whatever is filtered out; what is not comparable, or not verified, has none.
  const reasons = [...new Set(board.rows.flatMap(reasonsOf))];
  const rows = board.rows.filter(
    (row) =>
      shownRows[row.kind] && (!shownRows.category || row.category === shownRows.category) && (!shownRows.comparable || row.comparable === "yes"),
  );
  sortRows(rows, board);
  const columns = [
    ["rank", "#", true],
    ["model", "Model"],
    ...board.measures.map((measure, place) => [place, measure, true]),
    ["n", "n", true],
    ["kind", "Kind"],
  ];
  const heads = columns.map(([column, label, number]) => {
    const sorted = board.sort.column === column;
    const button = el("button", { type: "button", "data-column": column }, label);
    button.addEventListener("click", () => {
      board.sort = { column, down: sorted ? !board.sort.down : typeof column === "number" || column === "n" };
      redrawBoard(board, `[data-column="${column}"]`);
    });
    const order = sorted ? (board.sort.down ? "descending" : "ascending") : "none";
    return el("th", { scope: "col", class: number && "number", "aria-sort": order }, button);
  });
  heads.splice(3, 0, el("th", { scope: "col", class: "scale" }, `0 – ${board.scale}`));
  const unit = board.unit === "percent" ? "percent of questions" : "means of 0–2 a dimension, Overall their sum, 0–8";
  const sources = [...new Set(board.rows.map((row) => row.source).filter(Boolean))].join("; ");
  const table = el(
    "table",
    { class: "board" },
    el("caption", null, el("span", { class: "still" }, board.title, el("span", { class: "meta" }, `${unit}; ${counted(rows.length, "row")}; published: ${sources || "none"}`))),
    el("thead", null, el("tr", null, heads)),
    el("tbody", null, rows.map((row) => boardRow(board, row, reasons))),
  );
  return el(
    "div",
    { id: `board-${board.task}` },
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Leaderboard, ${board.title}` }, table),
    boardNotes(rows, reasons),
  );
}

function redrawBoard(board, focused) {
  const place = byId(`board-${board.task}`);
  const left = place.querySelector(".scroll").scrollLeft;
  place.replaceWith(boardTable(board));
  byId(`board-${board.task}`).querySelector(".scroll").scrollLeft = left;
  byId(`board-${board.task}`).querySelector(focused).focus();
}

// What many rows share is said once, below the table.
function boardNotes(rows, reasons) {
  const held = reasons.map((reason, place) => [place + 1, reason, rows.filter((row) => reasonsOf(row).includes(reason)).length]).filter(([, , n]) => n);
  if (!held.length) return null;
  const signs = [...SIGNS].filter(([value]) => rows.some((row) => row.comparable === value));
  const words = signs.map(([value, sign]) => [el("span", { class: value }, sign), ` ${rows.find((row) => row.comparable === value).standing}`]);
  return el(
    "div",
    { class: "notes" },
    el("p", null, words.flatMap((each, place) => (place ? [", ", each] : each)), " with the published rows, because:"),
    el("ol", null, held.map(([place, reason, n]) => el("li", { value: place }, data(reason), el("span", { class: "plain" }, ` (${counted(n, "row")})`)))),
  );
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

function boardRow(board, row, reasons) {
  const own = row.run !== null;
  // A model's runs on several files stand below each other.
  const several = new Set(board.rows.map((each) => each.dataset).filter(Boolean)).size > 1;
  const kind = row.category === "human" ? `${row.kind} human` : row.kind;
  const range = (ends) => ends && `${figure(ends[0], board.unit)} to ${figure(ends[1], board.unit)}`;
  const marks = reasonsOf(row).map((reason) => reasons.indexOf(reason) + 1).sort((a, b) => a - b).join(",");
  const words = `${row.standing}: ${reasonsOf(row).join("; ")}`;
  const name = el(
    "th",
    { scope: "row", title: row.source },
    el(
      "div",
      { class: "who" },
      swatch(row.run),
      el(
        "span",
        null,
        own ? el("a", { href: hashOf({ view: "summary", at: "", run: row.run, sample: null, facets: new Map() }) }, named(row.model)) : named(row.model),
        marks && el("sup", { class: row.comparable, role: "img", "data-tip": words, "aria-label": words }, SIGNS.get(row.comparable), marks),
        several && row.dataset && el("span", { class: "meta" }, named(row.dataset)),
      ),
      own && moreButton(board, row),
    ),
  );
  const cells = row.values.map((value, place) => {
    const ends = range(row.intervals[place]);
    return el("td", { class: "number", title: ends && `95% interval ${ends}` }, figure(value, board.unit), !place && el("span", { class: "ends" }, ends));
  });
  cells.splice(1, 0, el("td", { class: "scale" }, track(row, board, range(row.intervals[0]))));
  const line = el(
    "tr",
    { class: `${kind}${own ? " mine" : ""}${own && row.run === state.run ? " chosen" : ""}`, "data-run": row.run },
    el("td", { class: "number" }, row.rank === null ? "–" : row.rank),
    name,
    cells,
    el("td", { class: "number" }, row.n === null ? "–" : grouped(row.n)),
    el("td", { class: "kind" }, KINDS.get(row.kind), row.category && row.category !== row.kind ? [", ", data(row.category)] : null),
  );
  if (!own) return line;
  const facts = [
    ["Dataset", row.dataset],
    ["Judge", row.judge],
    ["Protocol", row.protocol !== row.judge && row.protocol],
    ["Images", row.images !== "kit" && row.images],
    ["Date", row.created && row.created.slice(0, 10)],
    ["95% intervals", board.measures.map((measure, place) => range(row.intervals[place]) && `${measure} ${range(row.intervals[place])}`).filter(Boolean).join("; ")],
    [row.standing[0].toUpperCase() + row.standing.slice(1), marks && reasonsOf(row).join("; ")],
  ].filter(([, value]) => value);
  const inside = el("dl", { class: "facts" }, facts.map(([title, value]) => [el("dt", null, title), el("dd", { dir: "auto" }, value)]));
  const link = el("a", { class: "noprint", href: samplesHash(row.run, [["task", board.task]]) }, "Show its samples");
  return [line, el("tr", { class: `more${row.open ? " open" : ""}` }, el("td", { colspan: board.measures.length + 5 }, el("div", { class: "still" }, inside, link)))];
}

function moreButton(board, row) {
  const button = el("button", { type: "button", class: "expand noprint", "aria-expanded": String(Boolean(row.open)), "aria-label": `Settings of ${row.model}` }, "⋯");
  button.addEventListener("click", () => {
    row.open = !row.open;
    button.setAttribute("aria-expanded", String(row.open));
    button.closest("tr").nextElementSibling.classList.toggle("open", row.open);
  });
  return button;
}

// The row of the run that is looked at.
function markChosen() {
  for (const line of document.querySelectorAll(".board [data-run]")) line.classList.toggle("chosen", line.dataset.run === String(state.run));
}

// A marker with its interval on the scale; the numbers stand beside it.
function track(row, board, ends) {
  const [value] = row.values;
  const made = el("span", { class: "track", "aria-hidden": "true", "data-tip": value !== null && `${row.model}: Overall ${figure(value, board.unit)}${ends ? ` (${ends})` : ""}${row.n === null ? "" : `, n = ${grouped(row.n)}`}` });
  if (value === null) return made;
  const at = (number) => `${(100 * number) / board.scale}%`;
  if (ends) {
    const bar = el("i");
    bar.style.left = at(row.intervals[0][0]);
    bar.style.width = at(row.intervals[0][1] - row.intervals[0][0]);
    bar.style.background = runs[row.run].look.colour;
    add(made, bar);
  }
  const dot = swatch(row.run);
  dot.style.left = at(value);
  return add(made, dot);
}
