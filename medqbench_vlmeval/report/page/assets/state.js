// What is shown is all in the address, so that a link leads back to it.

const state = { view: "summary", at: "", run: 0, sample: null, versus: null, q: "", order: "file", gallery: false, facets: new Map() };
const PLAIN = new Set(["view", "at", "run", "sample", "vs", "q", "order", "layout"]);

function hashOf(changes) {
  const next = { ...state, ...changes };
  const parts = new URLSearchParams();
  parts.set("view", next.view);
  if (next.view === "summary" && next.at) parts.set("at", next.at);
  parts.set("run", runs[next.run].key);
  if (next.view === "samples") {
    if (next.sample !== null) parts.set("sample", next.sample);
    if (next.versus !== null) parts.set("vs", runs[next.versus].key);
    if (next.q) parts.set("q", next.q);
    if (next.order !== "file") parts.set("order", next.order);
    if (next.gallery) parts.set("layout", "gallery");
    for (const [name, value] of next.facets) parts.set(name, value);
  }
  return `#${parts}`;
}

// The samples of a run that have these values; a link that anybody can copy.
function samplesHash(run, facets) {
  return hashOf({ view: "samples", run, sample: null, q: "", versus: state.versus === run ? null : state.versus, facets: new Map(facets) });
}

const runByKey = (key) => runs.findIndex((run) => run.key === key);

// Reads the address into the state and returns what in it this page does not have.
function readHash() {
  const given = new URLSearchParams(location.hash.slice(1));
  const missing = [];
  const sample = given.get("sample");
  state.view = given.get("view") === "samples" || (!given.get("view") && sample !== null) ? "samples" : "summary";
  state.at = given.get("at") || "";
  if (given.has("run")) {
    const found = runByKey(given.get("run"));
    if (found < 0) missing.push(["run", given.get("run")]);
    else state.run = found;
  } else if (sample !== null && !byIndex[state.run].has(sample)) {
    const found = byIndex.findIndex((known) => known.has(sample));
    if (found >= 0) state.run = found;
  }
  state.sample = null;
  if (sample !== null) {
    if (!isLoaded(state.run) || byIndex[state.run].has(sample)) state.sample = sample;
    else missing.push(["sample", sample]);
  }
  const versus = runByKey(given.get("vs"));
  state.versus = versus < 0 || versus === state.run ? null : versus;
  state.q = given.get("q") || "";
  state.order = ORDERS.has(given.get("order")) ? given.get("order") : "file";
  state.gallery = given.get("layout") === "gallery";
  state.facets = new Map([...given].filter(([name]) => !PLAIN.has(name) && FACETS.some((facet) => facet.name === name)));
  return missing;
}

// Steps through samples leave no trail of their own in the history; a change of view does, and on a narrow screen, where
// a sample takes the list's place, so does opening one.
const narrow = () => matchMedia("(max-width: 800px)").matches;

function remember(opened = false) {
  try {
    if (opened) history.pushState(null, "", hashOf({}));
    else history.replaceState(null, "", hashOf({}));
  } catch (error) {
    // A browser refuses an address past its longest, or a hundred of them within seconds; only the link is behind then.
    if (!(error instanceof DOMException)) throw error;
  }
}
