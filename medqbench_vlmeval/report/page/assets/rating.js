// The screen that people rate on: one answer at a time with its images, or one image and the faults that are seen in it, and keys
// for all of it.

const NEXT = DIMENSIONS.length; // what follows the last dimension
const NOUN = told.faults ? "image" : "answer";
const ALL = NEXT > 1 ? "All four are" : "It is";
// The key of a mark where it is not the mark itself.
const LETTERS = told.letters || {};
let at = 0; // the dimension that the next digit rates
let viewer = null;
let asksOpen = true;

const shownItem = () => told.items[ratings.at];
const say = (text) => (byId("said").textContent = text);

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}

function pictureOf(place, index, count) {
  const [width, height, converted] = told.pictures[place] || [];
  const address = byId(`image-${place}`)?.textContent;
  const label = count > 1 ? ["First image", "Second image"][index] || `Image ${index + 1}` : "";
  return { label, full: address || null, width, height, from: converted && [null, converted], none: "this image is not in the file" };
}

function draw() {
  const item = shownItem();
  const [title, questions] = told.tasks[item.task];
  byId("title").textContent = `${told.faults ? "Image" : "Answer"} ${ratings.at + 1} of ${told.items.length}`;
  byId("task").textContent = title;
  const images = item.images.map((place, index) => pictureOf(place, index, item.images.length));
  if (viewer) viewer.show(images);
  else viewer = imageViewer(byId("images"), images);
  // Every answer begins alike: whole images, grey levels as stored.
  for (const key of ["0", "r"]) viewer.key({ key });
  const text = (head, words, id) => el("section", { id, class: "said" }, el("h3", null, head), el("div", { class: "text", dir: "auto", tabindex: 0 }, words || "(empty)"));
  // The same for most answers: folded once, it stays so.
  const question = el("details", { id: "question", open: asksOpen, ontoggle: ({ target }) => (asksOpen = target.open) }, el("summary", null, "Question"), el("div", { class: "text", dir: "auto" }, item.question));
  if (!told.faults) fill(byId("texts"), item.question ? question : null, text("Answer", item.answer, "answer"), referenceBox(item, text));
  fill(byId("dimensions"), DIMENSIONS.map((name, place) => dimensionBox(item, name, place, questions[name])), told.faults && faultsBox(item));
  byId("comment").value = ratingOf(item).comment;
  at = Math.max(0, firstOpen(item));
  show();
  focusOn(at);
  // The image comes first, also where the ratings are far below it.
  scrollTo(0, 0);
}

function referenceBox(item, text) {
  if (told.reference === "hidden") return el("p", { class: "hint" }, "No reference is shown: where the criteria speak of one, what you see in the image stands for it.");
  if (told.reference === "shown" || ratingOf(item).first) return text("Reference, by an expert", item.reference, "reference");
  return el("p", { class: "hint", id: "reference" }, el("button", { type: "button", onclick: reveal }, "Show the reference ", el("kbd", null, "r")), " after all four ratings; they can be changed then, and the first ones are kept as well.");
}

function reveal() {
  const item = shownItem();
  if (told.reference !== "after" || ratingOf(item).first) return;
  if (!isWhole(item)) {
    say("Rate all four first; the reference comes after.");
    return;
  }
  change(item, { first: Object.fromEntries(DIMENSIONS.map((name) => [name, ratingOf(item)[name]])) });
  draw();
}

function dimensionBox(item, name, place, [question, marks]) {
  const id = `dimension-${place}`;
  const buttons = Object.entries(marks).map(([mark, words]) => el("button", { type: "button", class: "mark", "data-mark": mark, "aria-keyshortcuts": LETTERS[mark] || mark, "aria-pressed": "false", onclick: () => rate(place, Number(mark)) }, el("strong", null, LETTERS[mark] || mark), el("span", null, words)));
  const clear = el("button", { type: "button", class: "link", onclick: () => rate(place, null) }, "clear");
  return el("div", { id, class: "dimension", role: "group", tabindex: 0, "aria-labelledby": `${id}-title`, "aria-describedby": `${id}-asks`, onfocusin: () => ((at = place), mark()) },
    el("h3", { id: `${id}-title` }, told.dimensions[name], clear), el("p", { id: `${id}-asks`, class: "hint asks" }, question), el("div", { class: `marks of-${buttons.length}` }, buttons));
}

// A tick is what is seen; that nothing is ticked says that nothing is seen.
function faultsBox(item) {
  const boxes = Object.entries(told.faults[item.task]).map(([key, name], place) => {
    const letter = place < 10 ? String((place + 1) % 10) : null;
    const tick = el("input", { type: "checkbox", value: key, "aria-keyshortcuts": letter, onchange: ({ target }) => tickFault(key, target.checked), onkeydown: (event) => event.key === "Enter" && go(ratings.at + 1) });
    return el("label", { class: "fault" }, tick, letter ? el("kbd", { "aria-hidden": "true" }, letter) : el("span"), name);
  });
  return el("fieldset", { id: "faults" }, el("legend", null, "Visible faults"), el("p", { class: "hint asks" }, "Tick each one that you see, also where it does not matter; none where you see none."), boxes);
}

function tickFault(key, on) {
  const item = shownItem();
  const left = faultsOf(item).filter((other) => other !== key);
  change(item, { faults: [...left, ...(on ? [key] : [])].sort().join(" ") });
  say(`${told.faults[item.task][key]}: ${on ? "seen" : "not seen"}`);
  show();
}

function tickNumber(place) {
  const [key] = Object.entries(told.faults[shownItem().task])[place] || [];
  if (key === undefined) say("No fault has this number.");
  else tickFault(key, !faultsOf(shownItem()).includes(key));
}

// What changes with a rating.
function show() {
  const item = shownItem();
  DIMENSIONS.forEach((name, place) => {
    const given = ratingOf(item)[name];
    const box = byId(`dimension-${place}`);
    box.classList.toggle("rated", given !== null);
    for (const button of box.querySelectorAll(".mark")) button.setAttribute("aria-pressed", String(given !== null && Number(button.dataset.mark) === given));
    box.querySelector(".link").hidden = given === null;
  });
  for (const tick of document.querySelectorAll("#faults input")) tick.checked = faultsOf(item).includes(tick.value);
  const whole = told.items.filter(isWhole).length;
  const partly = told.items.filter((each) => isBegun(each) && !isWhole(each)).length;
  byId("progress").textContent = `${whole} of ${told.items.length} rated${partly ? `, ${partly} in part` : ""}`;
  byId("bar").value = whole;
  if (!ratings.isKept) notice("This browser keeps nothing for this page. Export your ratings before you close it; import them here to go on.");
  else if (whole === told.items.length) notice(`All ${NOUN}s are rated. Export them as JSON and send the file to whoever gave you this page.`);
  else notice("");
}

function mark() {
  DIMENSIONS.forEach((_, place) => byId(`dimension-${place}`).classList.toggle("current", place === at));
}

function focusOn(place) {
  at = place;
  mark();
  const box = place < NEXT ? byId(`dimension-${place}`) : byId("next");
  box.focus({ preventScroll: true });
  box.scrollIntoView({ block: "nearest" });
}

const firstOpen = (item, from = 0) => [...DIMENSIONS.keys()].find((place) => place >= from && ratingOf(item)[DIMENSIONS[place]] === null) ?? -1;

function rate(place, given) {
  const item = shownItem();
  if (place >= NEXT) {
    say(`${ALL} rated: Enter goes on, an arrow up goes back.`);
    return;
  }
  const name = DIMENSIONS[place];
  if (given !== null && !allowed(item, name).includes(given)) {
    say(`${given} is no rating of ${told.dimensions[name]} here: ${allowed(item, name).join(" or ")}.`);
    return;
  }
  if (ratingOf(item)[name] !== given) change(item, { [name]: given });
  say(given === null ? `${told.dimensions[name]} cleared` : `${told.dimensions[name]} ${told.faults ? told.tasks[item.task][1][name][1][given] : given}`);
  show();
  // What is open below comes first, then what was left out above.
  const after = firstOpen(item, place + 1);
  const open = after < 0 ? firstOpen(item) : after;
  focusOn(given === null ? place : open < 0 ? NEXT : open);
}

function go(place) {
  if (place < 0 || place >= told.items.length) {
    say(`This is the ${place < 0 ? "first" : "last"} ${NOUN}.`);
    return;
  }
  ratings.at = place;
  keep();
  draw();
}

function toOpen() {
  const order = told.items.map((_, place) => (ratings.at + 1 + place) % told.items.length);
  const open = order.find((place) => !isWhole(told.items[place]));
  if (open === undefined) say(`No ${NOUN} is open.`);
  else go(open);
}

function toggleCriteria() {
  byId("criteria").textContent = `Criteria: ${document.body.classList.toggle("brief") ? "marks" : "full"}`;
}

async function importFile(event) {
  const [file] = event.target.files;
  const content = file && parsed(await file.text());
  event.target.value = "";
  if (!file) return;
  const wrong = problem(content);
  const rater = wrong ? "" : named(content.rater);
  if (wrong) notice(`${file.name}${wrong.startsWith(",") ? "" : " "}${wrong}`);
  else if (ratings.rater && rater !== ratings.rater) notice(`${file.name} holds ratings of ${rater}, not of ${ratings.rater}. Choose 'Rater' to go on as ${rater}.`);
  else {
    if (!ratings.rater) begin(rater);
    const count = takeOver(content);
    keep();
    byId("start").close();
    enter();
    say(`${count} ratings of ${rater} were taken over; later ones that were here already stay.`);
  }
  byId("start-said").textContent = byId("start").open ? byId("notice").textContent : "";
}

function enter() {
  byId("rater").textContent = labelled(ratings.rater);
  draw();
}

function askName() {
  const earlier = earlierRaters().sort();
  fill(byId("earlier"), earlier.length ? "Go on as " : null, earlier.map((name) => el("button", { type: "button", onclick: () => start(name) }, data(name))));
  byId("start").showModal();
  byId("name").focus();
}

function start(name) {
  const rater = named(name);
  if (!rater) return;
  begin(rater);
  byId("start").close();
  enter();
}

const ACTIONS = {
  ArrowRight: () => go(ratings.at + 1), n: () => go(ratings.at + 1), ArrowLeft: () => go(ratings.at - 1), p: () => go(ratings.at - 1), u: toOpen,
  ArrowDown: () => focusOn(Math.min(NEXT, at + 1)), ArrowUp: () => focusOn(Math.max(0, at - 1)),
  Backspace: () => at < NEXT && rate(at, null), Delete: () => at < NEXT && rate(at, null),
  c: () => byId("comment").focus(), r: reveal, h: toggleCriteria, e: () => download("json", JSON.stringify(exported(), null, 1)), t: nextTheme,
  "?": () => byId("help").showModal(), f: () => viewer.key({ key: "0" }),
};
for (const digit of [0, 1, 2]) ACTIONS[digit] = () => rate(at, digit);
if (told.faults) {
  for (const digit of Array(10).keys()) ACTIONS[digit] = () => tickNumber((digit + 9) % 10);
  ACTIONS.o = toOpen;
}
for (const [mark, letter] of Object.entries(LETTERS)) ACTIONS[letter] = () => rate(0, Number(mark));
for (const key of ["+", "-", "=", "z", ...(told.faults ? [] : ["b", "o"])]) ACTIONS[key] = () => viewer.key({ key });

// Before the images see it: there, digits would zoom.
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || byId("start").open || byId("help").open || viewer?.isLarge()) return;
  const writing = event.target.closest("input:not([type=checkbox]), textarea");
  if (writing) {
    if (event.key === "Escape") focusOn(at);
    return;
  }
  const moves = event.key.startsWith("Arrow") && event.target.closest(".zoom-stage.pans, .text");
  if (moves || !Object.hasOwn(ACTIONS, event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  ACTIONS[event.key]();
}

startTheme();
document.addEventListener("keydown", onKey, { capture: true });
addEventListener("storage", () => ratings.rater && show());
addEventListener("beforeunload", (event) => !ratings.isKept && !ratings.isExported && event.preventDefault());
for (const [id, act] of Object.entries({ previous: ACTIONS.p, next: ACTIONS.n, open: toOpen, criteria: toggleCriteria, json: ACTIONS.e, csv: () => download("csv", exportedCsv()), "help-open": ACTIONS["?"], begin: () => start(byId("name").value), rater: askName, "help-close": () => byId("help").close() })) byId(id).addEventListener("click", act);
for (const id of ["import", "start-import"]) byId(id).addEventListener("change", importFile);
byId("name").addEventListener("keydown", (event) => event.key === "Enter" && start(byId("name").value));
byId("start").addEventListener("cancel", (event) => !ratings.rater && event.preventDefault());
byId("comment").addEventListener("input", ({ target }) => (change(shownItem(), { comment: target.value }), ratings.isKept || show()));
byId("bar").max = told.items.length;
askName();
