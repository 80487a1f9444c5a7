// Filters: each one reads values out of an item, and an item passes where it has the chosen one.

const FAILED = "failed";

const bandOf = (sum) => (sum === undefined ? [] : sum >= 8 ? ["8"] : sum >= 6 ? ["6 to below 8"] : sum >= 4 ? ["4 to below 6"] : sum >= 2 ? ["2 to below 4"] : ["below 2"]);
const one = (value) => (value === undefined ? [] : [value]);

const FACETS = [
  { name: "task", title: "Task", of: (item) => [item.sample.task], label: taskTitle },
  {
    name: "outcome",
    title: "Outcome",
    of: ({ answer }) => (answer.bad ? [FAILED, answer.outcome] : [answer.outcome]),
    label: (value) => (value === FAILED ? "any failure" : value),
    first: FAILED,
  },
  ...AXES.map(([name, title]) => ({ name, title, of: ({ sample }) => one(sample[name]) })),
  { name: "kind", title: "Error kind", of: ({ answer }) => answer.kinds || [] },
  { name: "score", title: "Score (0–8)", of: ({ answer }) => bandOf(answer.sum) },
  ...DIMENSIONS.map(([name, title], place) => ({
    name,
    title,
    of: ({ answer }) => (answer.verdicts && answer.verdicts[place].score !== undefined ? [scoreText(answer.verdicts[place].score)] : []),
  })),
  { name: "unscored", title: "Unscored because", of: ({ answer }) => one(answer.unscored) },
  { name: "rule", title: "Answer read by", of: ({ answer }) => one(answer.rule) },
  {
    name: "against",
    title: "Against the other run",
    of: (item) => (state.versus === null ? [] : against(item, answerOf(state.versus, item))),
  },
];

const ORDERS = new Map([
  ["file", "as in the file"],
  ["worst", "worst first"],
  ["best", "best first"],
  ["longest", "longest reply first"],
  ["index", "by index"],
]);

function against(item, other) {
  if (!other) return ["not in the other run"];
  const found = [];
  if (item.answer.bad && !other.answer.bad) found.push("only this one fails");
  if (!item.answer.bad && other.answer.bad) found.push("only the other fails");
  if (item.answer.bad && other.answer.bad) found.push("both fail");
  if (!item.answer.bad && !other.answer.bad) found.push("neither fails");
  if (item.answer.letter !== other.answer.letter || item.answer.sum !== other.answer.sum) found.push("results differ");
  return found;
}

const passes = (item, facet, value) => facet.of(item).includes(value);

// The items that pass search and filters, `but` one facet, whose own values are being counted.
function passing(but) {
  const words = wordsOf(state.q);
  const chosen = FACETS.filter((facet) => facet !== but && state.facets.has(facet.name));
  return items[state.run].filter(
    (item) =>
      chosen.every((facet) => passes(item, facet, state.facets.get(facet.name))) &&
      (!words.length || words.every((word) => haystack(item).includes(word))),
  );
}

function valueOf({ sample, answer }) {
  if (isChoice(sample.task)) return answer.bad ? 0 : 8;
  return answer.sum === undefined ? -1 : answer.sum;
}

const natural = new Intl.Collator("en", { numeric: true });

function ordered(found) {
  const by = {
    worst: (a, b) => valueOf(a) - valueOf(b),
    best: (a, b) => valueOf(b) - valueOf(a),
    longest: (a, b) => b.answer.reply.length - a.answer.reply.length,
    index: (a, b) => natural.compare(a.index, b.index),
  }[state.order];
  return by ? [...found].sort((a, b) => by(a, b) || a.place - b.place) : found;
}

// A facet's values with their counts; the most frequent ones first, numbers by size.
function counts(facet, found) {
  const known = new Map();
  for (const item of found) for (const value of facet.of(item)) known.set(value, (known.get(value) || 0) + 1);
  const order = ([a, x], [b, y]) => (b === facet.first) - (a === facet.first) || (facet.name === "score" || DIMENSIONS.some(([name]) => name === facet.name) ? natural.compare(a, b) : y - x || natural.compare(a, b));
  return [...known].sort(order);
}
