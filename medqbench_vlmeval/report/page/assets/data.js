// What the page was made of. Pictures are parsed when the first one is shown.

const told = JSON.parse(byId("data").textContent);
const runs = told.runs;
const samples = told.samples;
const BAD = new Set(["wrong", "no answer", "no reply", "with errors"]);
const AXES = [
  ["modality", "Modality"],
  ["question_type", "Question type"],
  ["severity", "Severity"],
  ["scope", "Scope"],
  ["difficulty", "Difficulty"],
  ["degradation", "Degradation"],
  ["source", "Source"],
];
const AXIS_TITLES = new Map([...AXES, ["kind", "Error kind"], ["task", "Task"]]);

let pictures = null;
function picture(place) {
  pictures = pictures || JSON.parse(byId("pictures").textContent);
  const [name, width, height, uri, shown] = pictures[place];
  return { name, width, height, uri, shown };
}

// A run's answers as items: the answer, its sample, and the index under which the run knows it.
const items = told.answers.map((answers, run) =>
  answers.map((answer, place) => ({
    run,
    place,
    answer,
    sample: samples[answer.s],
    index: answer.index === undefined ? samples[answer.s].index : answer.index,
  })),
);
const bySample = items.map((list) => new Map(list.map((item) => [item.answer.s, item])));
const byIndex = items.map((list) => new Map(list.map((item) => [item.index, item])));

const answerOf = (run, item) => bySample[run].get(item.answer.s);
const TASKS = new Map([["perception", "Perception"], ["no-reference", "No-reference"], ["comparative", "Comparative"]]);
const taskTitle = (task) => TASKS.get(task) || task;
const DIMENSIONS = Object.entries(told.dimensions);
const DIMENSION_TITLES = new Map(DIMENSIONS);

function scoreText(score) {
  if (score === undefined || score === null) return "–";
  return Number.isInteger(score) ? String(score) : score.toFixed(2);
}

function outcomeClass(answer) {
  if (answer.outcome === "unscored" || answer.outcome === "no reply") return "warn";
  return BAD.has(answer.outcome) ? "bad" : "good";
}

function outcomeWords(item, short) {
  const { answer, sample } = item;
  if (sample.task !== "perception") return answer.sum === undefined ? "unscored" : `${answer.bad ? "✗ " : ""}${scoreText(answer.sum)} / 8`;
  const sign = answer.bad ? "✗" : "✓";
  if (answer.letter === undefined) return `${sign} ${answer.outcome}`;
  return short ? `${sign} ${answer.letter}` : `${sign} ${answer.letter} ${answer.outcome}`;
}

const badge = (item, short) => el("span", { class: `badge ${outcomeClass(item.answer)}` }, data(outcomeWords(item, short)));

// All that the search looks through, in small letters, made once.
function haystack(item) {
  if (item.words === undefined) {
    const { sample, answer } = item;
    const options = Object.values(sample.options || {});
    item.words = [item.index, sample.index, sample.question, sample.description, ...options, answer.reply]
      .filter(Boolean)
      .join("\n")
      .toLowerCase();
  }
  return item.words;
}

const wordsOf = (query) => query.trim().toLowerCase().split(/\s+/u).filter(Boolean);
