// One sample: its images, what was asked, and what one or two runs answered.

function drawDetail() {
  const box = byId("detail");
  const item = state.sample === null ? null : byIndex[state.run].get(state.sample);
  box.scrollTop = 0;
  if (!item) {
    fill(box, el("p", { class: "empty" }, shown.length ? "Choose a sample, or press j." : ""));
    return;
  }
  const words = wordsOf(state.q);
  const { sample } = item;
  const other = state.versus === null ? null : answerOf(state.versus, item);
  const back = el("button", { type: "button", id: "back", class: "noprint", onclick: backToList }, "← List");
  const place = current < 0 ? "not among the filtered samples" : `${grouped(current + 1)} of ${grouped(shown.length)}`;
  const move = (by, sign, label) => el("button", { type: "button", "aria-label": label, onclick: () => step(by) }, sign);
  const chips = FACETS.filter(({ name }) => AXIS_TITLES.has(name) && name !== "kind").flatMap((facet) =>
    facet.of(item).map((value) =>
      el("li", null, el("a", { class: "chip", href: samplesHash(state.run, [[facet.name, value]]), title: `Show all with this ${facet.title.toLowerCase()}` }, el("span", { class: "plain" }, `${facet.title}: `), data((facet.label || String)(value)))),
    ),
  );
  fill(
    box,
    el("div", { class: "head" }, back, el("h2", null, data(item.index)), badge(item), el("span", { class: "plain", id: "place" }, place), el("span", { class: "steps noprint" }, move(-1, "↑", "Previous sample"), move(1, "↓", "Next sample"))),
    el(
      "div",
      { class: `sides${sample.images.length === 1 ? " single" : ""}` },
      imagesBox(sample),
      el(
        "div",
        { class: "asked" },
        el("ul", { class: "chips", "aria-label": "What it is" }, chips),
        sample.question === undefined ? null : el("div", null, el("h4", null, "Question"), block(sample.question, words)),
        sample.options ? optionsBox(sample, item, other) : null,
        sample.description === undefined ? null : el("div", null, el("h4", null, "Reference"), block(sample.description, words)),
      ),
    ),
    el("div", { class: other ? "runs two" : "runs" }, answerBox(item, words, Boolean(other)), other && answerBox(other, words, true)),
    state.versus !== null && !other ? el("p", { class: "hint" }, "The other run does not have this sample.") : null,
    othersBox(item),
  );
}

const viewer = imageViewer(el("div"), [], { missing: sayMissing, step: (by) => step(by) });
let viewed = "";
byId("list").addEventListener("dblclick", () => viewer.large(state.sample !== null));

function imagesBox(sample) {
  // A change of filters draws the same sample again.
  const wanted = JSON.stringify([sample.index, sample.images]);
  const isNew = viewed !== wanted;
  viewed = wanted;
  const title = [sample.index, sample.question].filter(Boolean).join(" · ");
  if (!sample.images.length) {
    viewer.show([], title);
    return el("p", { class: "hint" }, "The result names no image for this sample.");
  }
  const box = el("div", { class: "images" });
  viewer.home(box);
  const images = sample.images.map((place) => {
    const { name, width, height, uri, full, from } = picture(place);
    return { name, width, height, fallback: uri, full, from, none: told.images === "none" ? "left out of this page" : null };
  });
  if (isNew) viewer.show(images, title);
  return box;
}

// Once: a page that was moved alone lacks all of its originals.
function sayMissing() {
  if (byId("originals")) return;
  const why = told.live ? "An original image cannot be loaded." : "The original images are not beside this page: keep the folder 'images' with it.";
  byId("samples").prepend(el("p", { id: "originals", class: "notice", role: "status" }, `${why} Thumbnails are shown instead, too small to judge fine noise or blur.`));
}

function optionsBox(sample, item, other) {
  const lines = Object.entries(sample.options).map(([letter, text]) => {
    const right = letter === sample.answer;
    const chosen = letter === item.answer.letter;
    const marks = [right && "right answer", chosen && (other ? "this run" : "chosen"), other && letter === other.answer.letter && "other run"].filter(Boolean);
    const marksBox = el("span", { class: `marks ${right ? "good" : "bad"}` }, marks.join(", "));
    return el("li", { class: `${right ? "right" : ""}${chosen ? " chosen" : ""}` }, el("strong", null, letter), data(text), marks.length ? marksBox : null);
  });
  return el("div", null, el("h4", null, "Options"), el("ul", { class: "options" }, lines));
}

function othersBox(item) {
  const found = runs.map((run, place) => [place, answerOf(place, item)]).filter(([place, other]) => place !== state.run && other);
  const rest = runs.map((_, place) => place).filter((place) => !isLoaded(place) && shareSamples(state.run, place));
  const ask = rest.length ? el("button", { type: "button", class: "noprint", onclick: () => haveRuns(rest, redraw) }, `Read the answers of ${counted(rest.length, "other run")}`) : null;
  if (!found.length) return ask;
  const lines = found.map(([place, other]) => {
    const beside = state.versus === place;
    const button = el("button", { type: "button", class: "noprint", "aria-pressed": String(beside), onclick: () => ((state.versus = beside ? null : place), refresh()) }, "side by side");
    return el("li", null, data(runs[place].label), badge(other), button);
  });
  return el("div", null, el("h4", null, "Other runs on this sample"), el("ul", { class: "others" }, lines), ask);
}

function backToList() {
  if (narrow()) {
    state.sample = null;
    remember();
  }
  byId("samples").classList.remove("reading");
  drawRows();
  if (current >= 0) reveal();
  byId("list").focus();
}
