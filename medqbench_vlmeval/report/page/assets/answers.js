// One run's answer to one sample.

function answerBox(item, words, named) {
  const { sample, answer } = item;
  const box = el("div", { class: "answer" });
  if (named) add(box, el("h3", null, data(runs[item.run].label), " ", badge(item)));
  if (answer.unscored !== undefined) add(box, el("p", { class: "warn" }, isChoice(sample.task) ? "Counted as wrong: " : "Not scored: ", data(answer.unscored)));
  add(box, el("h4", null, answer.cut ? "Reply (cut by its spreadsheet)" : "Reply"), block(answer.reply, words));
  add(box, isChoice(sample.task) ? letterFacts(item) : verdictFacts(item));
  if (answer.kinds) {
    const chips = answer.kinds.map((kind) => el("li", null, el("a", { class: "chip", href: samplesHash(item.run, [["kind", kind]]), title: "Show all with this error" }, data(kind))));
    add(box, el("h4", null, "Errors that can be told"), el("ul", { class: "chips" }, chips));
  }
  return box;
}

function letterFacts({ sample, answer }) {
  const facts = [
    ["Answer read", answer.letter === undefined ? "none" : answer.letter],
    ["by the rule", answer.rule],
    ["Right answer", sample.answer],
    ["Confidence, %", answer.confidence],
  ];
  if (answer.extractor) {
    const { letter, reason, judge, reply, note } = answer.extractor;
    facts.push(["Extractor", [judge, reason ? `failed: ${reason}` : letter || "no answer", note].filter(Boolean).join(", ")], ["It replied", reply]);
  }
  const pairs = facts.filter(([, value]) => value !== undefined && value !== "");
  return el("dl", { class: "facts" }, pairs.map(([name, value]) => [el("dt", null, name), el("dd", { dir: "auto" }, value)]));
}

function verdictFacts({ answer }) {
  const facts = [];
  if (answer.sum !== undefined) facts.push(["Score", `${scoreText(answer.sum)} of 8`]);
  if (answer.stated !== undefined || answer.reference !== undefined) {
    const words = (value) => (value === undefined ? "none that can be read" : value === "1" || value === "2" ? `image ${value}` : value);
    facts.push(["Concludes on", words(answer.stated)], ["Its reference", words(answer.reference)]);
  }
  return [
    el("dl", { class: "facts" }, facts.map(([name, value]) => [el("dt", null, name), el("dd", { dir: "auto" }, value)])),
    el("h4", null, "Verdicts"),
    el("div", { class: "verdicts" }, answer.verdicts.map((verdict) => verdictBox(verdict, answer.verdicts))),
  ];
}

const scoreClass = (score) => (score === undefined ? "warn" : score <= 0.5 ? "bad" : score < 2 ? "plain" : "good");

function verdictBox(verdict, all) {
  const title = DIMENSION_TITLES.get(verdict.of) || (/^\d+$/.test(verdict.of) ? `round ${verdict.of}` : verdict.of);
  const same = verdict.same === undefined ? null : all[verdict.same];
  const box = el(
    "div",
    { class: "verdict" },
    el("div", { class: "line" }, el("strong", null, data(title)), verdict.judge && el("span", { class: "plain" }, data(verdict.judge)), el("span", { class: `score ${scoreClass(verdict.score)}` }, verdict.score === undefined ? "none" : scoreText(verdict.score))),
    verdict.reason && el("p", { class: "warn" }, data(verdict.reason)),
    verdict.explanation && el("p", { dir: "auto" }, verdict.explanation),
    verdict.note && el("p", { class: "plain" }, data(verdict.note)),
  );
  if (same) add(box, el("p", { class: "plain" }, `The judge's reply is the one shown under ${DIMENSION_TITLES.get(same.of)}.`));
  if (verdict.reply && (verdict.reply.length > 160 || verdict.explanation)) {
    add(box, el("details", null, el("summary", null, `Judge's reply (${grouped(verdict.reply.length)} characters)`), block(verdict.reply)));
  } else if (verdict.reply) add(box, el("p", { dir: "auto", class: "plain" }, verdict.reply));
  if (verdict.parts) add(box, el("details", null, el("summary", null, `Single verdicts (${verdict.parts.length})`), verdict.parts.map((part) => verdictBox(part, []))));
  return box;
}
