// The run in numbers, its findings in sentences, and its settings.

function drawHeadline() {
  const run = runs[state.run];
  const tiles = run.parts.map((part) => {
    const [, overall, ends, n] = part.measures[0];
    const found = items[state.run].filter((item) => item.sample.task === part.task);
    const ways = [];
    const way = (outcome, n, words) => ways.push(el("a", { href: samplesHash(state.run, [["task", part.task], ["outcome", outcome]]) }, `Show the ${grouped(n)} ${words}`));
    const failed = found.filter((item) => item.answer.bad).length;
    const left = found.filter((item) => item.answer.outcome === "unscored").length;
    if (failed) way(FAILED, failed, failed === 1 ? "failed sample" : "failed samples");
    else if (found.length > left) ways.push(left ? "No scored sample failed." : "No sample failed.");
    if (left) way("unscored", left, "unscored");
    const scale = part.unit === "percent" ? "%" : " of 8";
    const small = [ends && `95% interval ${figure(ends[0], part.unit)} to ${figure(ends[1], part.unit)}`, n !== null && `n ${grouped(n)}`];
    const unscored = part.counts.filter(([name, count]) => count && name !== "Samples" && name !== "Correct" && name !== "Scored");
    return el(
      "div",
      { class: "tile" },
      el("h3", null, part.title),
      el("p", { class: "big" }, figure(overall, part.unit), overall === null ? "" : scale),
      el("p", { class: "small" }, small.filter(Boolean).join("; ")),
      el("ul", null, part.measures.slice(1).map(([name, value]) => el("li", null, el("span", { class: "plain" }, `${name} `), figure(value, part.unit)))),
      unscored.length ? el("p", { class: "small" }, unscored.map(([name, count]) => `${name}: ${grouped(count)}`).join("; ")) : null,
      el("p", null, ways.flatMap((one) => [one, " "])),
      part.comparable === "yes" ? null : el("p", { class: `refused ${part.comparable}` }, `${part.standing.replace("not", "Not")} with the published rows: `, data(part.because.join("; ") || "the result does not say why")),
    );
  });
  fill(byId("headline"), el("h2", null, data(run.label)), run.baseline && el("p", { class: "hint" }, run.baseline), el("div", { class: "tiles" }, tiles));
}

// Of a finding by many groups (sources, types) more would bury the others.
const MOST_LINKS = 12;

function drawFindings() {
  const boxes = runs[state.run].parts.map((part) => {
    const cards = part.findings.map((finding) => {
      const links = finding.links.map(([axis, group, value, n, failed]) => {
        const facets = [["task", part.task], [axis, group], ...(failed ? [["outcome", FAILED]] : [])];
        const shown = value === null ? "" : ` ${figure(value, part.unit)}${part.unit === "percent" ? "%" : ""}`;
        return el("li", null, el("a", { class: "chip", href: samplesHash(state.run, facets), title: failed ? "Show the failed samples of this group" : "Show these samples" }, data(group), shown, n === null ? "" : el("span", { class: "plain" }, ` (n ${grouped(n)})`)));
      });
      return el(
        "div",
        { class: `card${finding.open ? " open" : ""}` },
        el("h4", null, data(finding.title), finding.few ? el("span", { class: "few" }, " few samples") : null),
        el("p", { dir: "auto", title: finding.method }, finding.statement),
        links.length ? el("ul", { class: "chips noprint", "aria-label": "Samples behind it" }, links.slice(0, MOST_LINKS)) : null,
        links.length > MOST_LINKS ? el("details", { class: "noprint" }, el("summary", null, `${grouped(links.length - MOST_LINKS)} more`), el("ul", { class: "chips" }, links.slice(MOST_LINKS))) : null,
      );
    });
    const rest = part.absent.length ? el("p", { class: "hint" }, "Not found: ", data(part.absent.map(([name, reason]) => `${name} (${reason})`).join("; "))) : null;
    const checks = part.checks.length ? el("details", { class: "block" }, el("summary", null, "How far the verdicts hold, and what judging took"), part.checks.map((line) => el("p", { dir: "auto" }, line))) : null;
    const tables = part.tables.map((table) =>
      el(
        "details",
        { class: "block", open: "" },
        el("summary", null, table.title),
        el(
          "div",
          { class: "scroll", tabindex: 0, role: "region", "aria-label": `${table.title}, ${part.title}` },
          el(
            "table",
            { class: "plain-table" },
            el("thead", null, el("tr", null, table.heads.map(([head, number]) => el("th", { scope: "col", class: number && "number" }, head)))),
            el("tbody", null, table.rows.map((row) => el("tr", null, row.map(([text, few], place) => el("td", { class: table.heads[place][1] && "number", dir: "auto" }, few ? `*${text}` : text))))),
          ),
        ),
        table.notes.map((note) => el("p", { class: "hint" }, data(note))),
        table.rows.some((row) => row.some(([, few]) => few)) ? el("p", { class: "hint" }, "* fewer than ten samples") : null,
      ),
    );
    const none = cards.length ? null : el("p", { class: "hint" }, "The result has no findings.");
    return el("div", null, el("h3", null, part.title), none, el("div", { class: "cards" }, cards), tables, rest, checks);
  });
  fill(byId("findings-body"), ...boxes);
}

function drawSettings() {
  const facts = (pairs) => el("dl", { class: "facts" }, pairs.map(([name, value]) => [el("dt", null, name), el("dd", { dir: "auto" }, value)]));
  const boxes = runs[state.run].parts.map((part) =>
    el("details", { class: "block" }, el("summary", null, part.title), facts([...part.settings, ...part.counts.map(([name, count]) => [name, grouped(count)])])),
  );
  fill(byId("settings-body"), ...boxes);
}
