// Drawing what the address says.

let drawnRun = -1;

function drawSummary() {
  if (drawnRun === state.run) return;
  drawnRun = haveRuns([state.run], redraw) ? state.run : -1;
  drawHeadline();
  drawFailures();
  drawFindings();
  drawSettings();
  markChosen();
}

// When a run's samples have come: the address is read again, since it may name one of them.
const redraw = () => draw(false, false);

// After a change of filters, order, search or runs within the samples.
function refresh() {
  remember();
  if (!haveRuns([state.run, state.versus], redraw)) return;
  drawFilters();
  drawList();
  drawChosen();
}

// A wide screen has room for the first sample at once.
function drawChosen() {
  if (state.sample === null && shown.length && !narrow()) choose(0, false);
  else drawDetail();
}

// Where the samples begin: below a head that may take two lines.
function measure() {
  const { style } = document.documentElement;
  style.setProperty("--top", `${byId("samples").getBoundingClientRect().top + scrollY}px`);
  style.setProperty("--head", `${document.querySelector(".top").offsetHeight}px`);
}

function draw(arrived, scrolls = true) {
  if (!runs.length) return;
  const missing = readHash();
  const failed = loadErrors.has(state.run);
  byId("notice").hidden = !missing.length && !failed;
  fill(byId("notice"), ...missing.map(([what, name]) => el("span", null, `This page has no ${what} `, data(name), ". ")), failed && data(loadErrors.get(state.run)));
  const browsing = state.view === "samples";
  byId("summary").hidden = browsing;
  byId("samples").hidden = !browsing;
  byId("run").value = String(state.run);
  for (const link of document.querySelectorAll("nav a")) {
    const here = browsing ? link.dataset.at === "samples" : link.dataset.at === (state.at || "board");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  measure();
  if (browsing) {
    byId("samples").classList.toggle("reading", state.sample !== null);
    if (!haveRuns([state.run, state.versus], redraw)) {
      byId("count").textContent = "Reading the samples …";
      return;
    }
    drawFilters();
    drawList();
    drawChosen();
    // What had the focus may be out of sight now.
    if (arrived && (document.activeElement === document.body || document.activeElement.closest("nav"))) byId("list").focus({ focusVisible: false });
    return;
  }
  drawSummary();
  const part = scrolls && state.at && byId(state.at);
  if (part && part.closest("#summary, #live")) part.scrollIntoView();
}

const fillRuns = () => fill(byId("run"), ...runOptions([...runs.keys()], state.run));
fillRuns();
byId("run").addEventListener("change", () => {
  const run = Number(byId("run").value);
  const facets = new Map([...state.facets].filter(([name]) => name !== "against"));
  location.hash = hashOf({ run, versus: state.versus === run ? null : state.versus, sample: !isLoaded(run) || byIndex[run].has(state.sample) ? state.sample : null, facets });
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
startTheme();
startTips();
startFilters();
startList();
startKeys();
if (runs.length) readHash();
if (told.live) leaveOutGone();
startBoard();
if (told.live) offerComparison();
else drawComparison(told.compared);
draw(false);
if (told.live) startLive();
addEventListener("hashchange", () => draw(true));
addEventListener("resize", measure);
