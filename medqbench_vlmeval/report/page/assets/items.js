// Of five runs or more: the samples that an item analysis sets apart, each a link to it.

const FIRST_ITEMS = 20;

// `address` gives a link to the sample at a place, seen from the best run; null where the page does not have it.
function itemTable(task, address) {
  if (!task.items.length) return null;
  const ends = (cell, digits) => (cell.low === null ? null : el("span", { class: "ends" }, ` ${cell.low.toFixed(digits)} to ${cell.high.toFixed(digits)}`));
  const digits = task.letters ? 0 : 2;
  const line = (item) => {
    const [, about, question, answer] = task.samples[item.at];
    const href = address(item.at);
    const name = data(item.index);
    const chosen = Object.entries(item.chosen).map(([letter, count]) => `${letter} ${count}`).join(", ");
    return el(
      "tr",
      null,
      el("th", { scope: "row" }, href ? el("a", { href }, name) : name, el("span", { class: "meta" }, " ", data(about))),
      el("td", { class: "asks" }, data(question)),
      task.letters ? [el("td", null, data(answer || "–")), el("td", null, data(chosen))] : null,
      el("td", { class: "number" }, item.difficulty.value.toFixed(digits), task.letters ? "%" : "", ends(item.difficulty, digits)),
      el("td", { class: "number" }, item.discrimination.value === null ? "–" : item.discrimination.value.toFixed(2), ends(item.discrimination, 2)),
      el("td", { class: "note" }, item.notes.join("; ")),
    );
  };
  const head = (words, kind = null) => el("th", { scope: "col", class: kind }, words);
  const heads = [head("Sample"), head("Question", "asks"), ...(task.letters ? [head("Key"), head("Stronger runs chose")] : []), head(task.letters ? "Right" : "Mean", "number"), head("Discrimination", "number"), head("Note")];
  const holder = el("div");
  const draw = (rows) => {
    const shown = task.items.slice(0, rows);
    const table = el("table", { class: "results" }, el("caption", { class: "hidden-text" }, `Samples set apart, ${task.title}`), el("thead", null, el("tr", null, heads)), el("tbody", null, shown.map(line)));
    const left = task.items.length - shown.length;
    const more = left > 0 && el("button", { type: "button", class: "noprint", onclick: () => draw(rows + 5 * FIRST_ITEMS) }, `Show more (${grouped(left)} left)`);
    fill(holder, el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Samples set apart, ${task.title}` }, table), more);
  };
  draw(FIRST_ITEMS);
  const rule = task.letters
    ? "Worth a second look: most of the stronger half of the runs chose one option, not the key, and weaker ones did better or none is right. The key may be wrong, or the question hard or unclear. "
    : "";
  return el(
    "details",
    null,
    el("summary", null, `${counted(task.items.length, "sample")} set apart by item analysis`),
    el("p", { class: "hint" }, `${rule}Discrimination: the correlation of the runs' scores on the sample with their totals on all others; with few runs its 95% interval is wide. All samples stand on the sheet 'Items'.`),
    holder,
  );
}
