// The page that `medqbench view` serves: it asks its own server, and no other, for a run's samples and for what goes on.

async function loadRun(run) {
  const { version } = runs[run];
  const address = `runs/${run}.json?v=${version}`;
  loadErrors.delete(run);
  let got = { samples: [], pictures: [], answers: [] };
  try {
    const response = await fetch(address, { cache: "default" });
    if (response.ok) got = await response.json();
    else loadErrors.set(run, (await response.text()) || `the server says ${response.status}`);
  } catch (error) {
    loadErrors.set(run, `the server is not there any more (${error.message})`);
  }
  if (runs[run].version !== version) return loadRun(run); // it was scored anew meanwhile
  for (const [place, sample] of got.samples) samples[place] = Object.assign(samples[place] || {}, sample);
  for (const [place, entry] of got.pictures) allPictures()[place] = entry;
  setAnswers(run, got.answers);
}

const EVERY = 1500; // milliseconds between two looks, while the page is seen
let live = told.live;
let knownVersion = told.seen;
let unreachable = false;
let drawnState = "";
const openLogs = new Set();

// What was deleted keeps its place in the list of runs, since all else is numbered by it, and has no row.
function leaveOutGone() {
  for (const run of runs) if (run.gone && !run.label.endsWith(" (gone)")) run.label += " (gone)";
  for (const board of told.boards) board.rows = board.rows.filter((row) => row.run === null || !runs[row.run].gone);
}

function startLive() {
  const look = async () => {
    if (document.visibilityState === "visible") await lookAgain();
    setTimeout(look, EVERY);
  };
  drawLive();
  setTimeout(look, EVERY);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && lookAgain());
}

async function lookAgain() {
  try {
    const response = await fetch("state.json");
    unreachable = !response.ok;
    if (response.ok) live = await response.json();
    if (response.ok && live.version !== knownVersion) await takeRuns();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    unreachable = true;
  }
  drawLive();
}

// Runs that have come, were scored anew or have gone; each keeps its place in the list.
async function takeRuns() {
  const response = await fetch("page.json");
  if (!response.ok) return;
  const got = await response.json();
  const first = !runs.length;
  let again = false;
  got.runs.forEach((run, place) => {
    const known = runs[place];
    runs[place] = run;
    if (known && known.version === run.version) return;
    setAnswers(place, null);
    loadErrors.delete(place);
    again = again || place === state.run || place === state.versus;
  });
  for (const board of got.boards) board.sort = (told.boards.find(({ task }) => task === board.task) || {}).sort;
  told.boards = got.boards;
  leaveOutGone();
  knownVersion = got.seen;
  fillRuns();
  startBoard();
  offerComparison();
  if (!first && !again) {
    // What is being read stays as it is.
    if (state.view === "samples" && isLoaded(state.run)) drawFilters();
    return;
  }
  drawnRun = -1;
  draw(false, false);
}

// What has not changed is left alone: somebody may be reading or copying it.
function drawLive() {
  const now = JSON.stringify([live, unreachable, runs.map((run) => run.gone)]);
  if (now === drawnState) return;
  drawnState = now;
  const box = byId("live");
  const { work, half, missing, folder } = live;
  const atWork = work.filter(({ running }) => running).length;
  const scored = runs.filter((run) => !run.gone).length;
  const link = byId("live-link");
  link.hidden = !work.length;
  if (link.textContent !== `At work: ${atWork}`) link.textContent = `At work: ${atWork}`;
  const warn = (text) => el("p", { class: "warn" }, text);
  const focused = box.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  fill(
    box,
    work.length ? el("h2", null, "At work") : null,
    el("p", { class: "hint" }, `${counted(scored, "scored run")} in `, el("code", null, data(folder))),
    unreachable && warn("The viewer does not answer any more: it has ended. What was read stays here; start it again for the rest."),
    missing && !unreachable && warn("The folder is not there any more. What was read stays here; if it comes back, it is shown again."),
    !scored && !work.length && !missing && el("p", { class: "hint" }, "There is no scored run yet. Leave this page open: runs come by themselves, from their first sample on."),
    work.length ? el("div", { class: "works" }, work.sort((a, b) => b.running - a.running || b.updated - a.updated).map(workBox)) : null,
    half.length ? el("ul", { class: "half" }, half.map(half_)) : null,
  );
  box.hidden = false;
  for (const lines of box.querySelectorAll("pre")) lines.scrollTop = lines.scrollHeight;
  if (focused) for (const summary of box.querySelectorAll("summary")) if (summary.dataset.key === focused) summary.focus();
}

// A comparison reads the samples of all runs, so that it is made when somebody wants it.
function offerComparison() {
  const here = runs.filter((run) => !run.gone).length;
  if (here < 2) return drawComparison([]);
  const body = byId("compared-body");
  byId("compared").hidden = false;
  document.querySelector("nav [data-at=compared]").hidden = false;
  const button = el("button", { type: "button", id: "compare-runs", onclick: compareRuns }, `Compare ${counted(here, "run")} with each other`);
  if (body.querySelector(".compared")) {
    const earlier = byId("compare-again");
    if (earlier) earlier.remove();
    return body.prepend(el("p", { id: "compare-again" }, "Runs have come or changed since. ", button));
  }
  return fill(body, el("p", { class: "hint" }, button, " Reads all their samples; of many runs this takes some seconds."));
}

async function compareRuns(event) {
  const button = event.target;
  Object.assign(button, { disabled: true, textContent: "Comparing …" });
  let words = "No two of them have a sample in common, or they are more than 60.";
  try {
    const response = await fetch("compared.json");
    const got = response.ok ? await response.json() : [];
    if (got.length) return drawComparison(got);
    if (!response.ok) words = await response.text();
  } catch (error) {
    words = `The viewer does not answer (${error.message}).`;
  }
  return fill(byId("compared-body"), el("p", { class: "warn", role: "alert" }, data(words)));
}

const BEING_WRITTEN = 60; // seconds
const half_ = ({ name, words, age }) => el("li", null, data(name), el("span", { class: "plain" }, ": ", data(age < BEING_WRITTEN ? "being written" : words)));

function duration(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min` : `${Math.max(1, Math.round(seconds))} s`;
}

const ENDS = ["failed", "replies complete"];

// A judge says its own rate, failures and cost; of an inference they are worked out here.
function workBox(one) {
  const ended = !one.running;
  const stage = ended && !ENDS.includes(one.stage) ? "stopped" : one.stage;
  const [seconds, done] = [one.updated - one.since, one.done - one.before];
  const rate = one.stage === "inference" && done > 0 && seconds > 0 && !ended ? done / seconds : null;
  const facts = [
    one.total !== null && `${grouped(one.done)} of ${counted(one.total, one.stage === "judging" ? "verdict" : "sample")}`,
    rate !== null && `${rate < 10 ? rate.toFixed(1) : grouped(Math.round(rate))} a second`,
    rate !== null && one.total !== null && `${duration(Math.max(0, one.total - one.done) / rate)} left`,
    stage !== "failed" && one.more && data(one.more, { class: /failed/.test(one.more) ? "warn" : null }),
    ended && `last heard of ${new Date(1000 * one.updated).toLocaleString()}`,
  ].filter(Boolean);
  const bar = one.total === null ? null : el("progress", { max: Math.max(1, one.total), value: one.done, "aria-label": `${one.model} on ${one.dataset}` });
  const log = one.log.length ? el("details", { open: openLogs.has(one.key) }, el("summary", { "data-key": one.key }, "Last lines of the log"), el("pre", { tabindex: 0 }, one.log.join("\n"))) : null;
  if (log) log.addEventListener("toggle", () => {
    if (!log.open) return openLogs.delete(one.key);
    log.lastChild.scrollTop = log.lastChild.scrollHeight;
    return openLogs.add(one.key);
  });
  return el(
    "div",
    { class: `work${ended ? " ended" : ""}` },
    el("p", { class: "line" }, el("strong", null, data(one.model)), data(one.dataset), el("span", { class: `badge ${stage === "failed" ? "bad" : ended ? "warn" : "good"}` }, data(stage))),
    bar,
    el("p", { class: "plain" }, facts.flatMap((fact, place) => (place ? [" · ", fact] : [fact]))),
    stage === "failed" && one.more ? el("p", { class: "bad" }, data(one.more)) : null,
    stage === "replies complete" ? el("p", { class: "plain" }, "Not scored yet.") : null,
    log,
  );
}
