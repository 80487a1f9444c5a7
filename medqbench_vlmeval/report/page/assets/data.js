// What the page was made of. A page in a file holds all samples; of one that `medqbench view` serves, a run's samples are
// asked for when they are first looked at: until then `items[run]` is empty. Pictures are parsed when the first is shown.

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
  ["category", "Category"],
  ["degradation", "Degradation"],
  ["source", "Source"],
];
const AXIS_TITLES = new Map([...AXES, ["kind", "Error kind"], ["task", "Task"]]);

// An image's name, its size in pixels, the address of its thumbnail and that one's width, and the address of the original
// where it can be shown; where browsers cannot show that one, a copy's, and the original's with words on how it is shown.
let pictures = null;
const allPictures = () => (pictures = pictures || JSON.parse(byId("pictures").textContent));
function picture(place) {
  const [name, width, height, uri, shown, full, from] = allPictures()[place];
  return { name, width, height, uri, shown, full, from };
}

// A run's answers as items: the answer, its sample, and the index under which the run knows it.
const items = [];
const bySample = [];
const byIndex = [];
const loaded = new Set();

function setAnswers(run, answers) {
  items[run] = (answers || []).map((answer, place) => ({
    run,
    place,
    answer,
    sample: samples[answer.s],
    index: answer.index === undefined ? samples[answer.s].index : answer.index,
  }));
  bySample[run] = new Map(items[run].map((item) => [item.answer.s, item]));
  byIndex[run] = new Map(items[run].map((item) => [item.index, item]));
  if (answers) loaded.add(run);
  else loaded.delete(run);
}
runs.forEach((_, run) => setAnswers(run, told.answers[run]));

const isLoaded = (run) => run === null || loaded.has(run);
const loading = new Map();

// Whether all these runs are here (null counts as here); where not, they are asked for (live.js), and `then` is called when
// they have come. Of one that could not be had, `loadErrors` has the reason, and it counts as here, without samples.
const loadErrors = new Map();
function haveRuns(places, then) {
  const missing = places.filter((run) => !isLoaded(run));
  if (!missing.length) return true;
  const asked = missing.map((run) => {
    if (!loading.has(run)) loading.set(run, loadRun(run).finally(() => loading.delete(run)));
    return loading.get(run);
  });
  Promise.all(asked).then(then);
  return false;
}

// Whether two runs have a sample in common; of one that is not here, whether they have a task in common.
function shareSamples(one, other) {
  if (isLoaded(one) && isLoaded(other)) return items[other].some((item) => bySample[one].has(item.answer.s));
  return runs[one].parts.some(({ task }) => runs[other].parts.some((part) => part.task === task));
}

const answerOf = (run, item) => bySample[run].get(item.answer.s);
const TASKS = new Map([
  ["perception", "Perception"],
  ["no-reference", "No-reference"],
  ["comparative", "Comparative"],
  ["degradation", "MedQ-Deg"],
]);
const isChoice = (task) => task === "perception" || task === "degradation";
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
  if (!isChoice(sample.task)) return answer.sum === undefined ? "unscored" : `${answer.bad ? "✗ " : ""}${scoreText(answer.sum)} / 8`;
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
