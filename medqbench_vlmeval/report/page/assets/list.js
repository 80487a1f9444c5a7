// The samples found, as rows or as a gallery. Only what can be seen is in the document, so that thousands stay quick.

let shown = [];
let current = -1;
let drawnFor = "";
const nodes = new Map();
const AHEAD = 4;

function layoutNow() {
  const box = byId("list");
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  if (!state.gallery) return { columns: 1, height: 4.75 * rem, width: box.clientWidth };
  const columns = Math.max(2, Math.floor(box.clientWidth / (8.5 * rem)));
  const width = box.clientWidth / columns;
  return { columns, height: width + 1.6 * rem, width };
}

function startList() {
  const box = byId("list");
  let asked = 0;
  const later = () => {
    if (!asked) asked = requestAnimationFrame(() => ((asked = 0), drawRows()));
  };
  box.addEventListener("scroll", later, { passive: true });
  let [wide, high] = [0, 0];
  new ResizeObserver(() => {
    if (!shown.length || (box.clientWidth === wide && box.clientHeight === high)) return;
    [wide, high] = [box.clientWidth, box.clientHeight];
    clearRows();
    drawRows();
  }).observe(box);
  box.addEventListener("click", (event) => {
    const row = event.target.closest("[data-place]");
    if (row) choose(Number(row.dataset.place), true);
  });
}

function clearRows() {
  nodes.clear();
  byId("spacer").replaceChildren();
}

function drawList() {
  shown = ordered(passing(null));
  const total = items[state.run].length;
  const words = shown.length === total ? counted(total, "sample") : `${grouped(shown.length)} of ${counted(total, "sample")}`;
  if (byId("count").textContent !== words) byId("count").textContent = words;
  current = shown.findIndex((item) => item.index === state.sample);
  clearRows();
  const found = hashOf({ sample: null });
  if (found !== drawnFor) byId("list").scrollTop = 0;
  drawnFor = found;
  if (!shown.length) {
    byId("spacer").style.height = "auto";
    byId("list").removeAttribute("aria-activedescendant");
    fill(byId("spacer"), el("p", { class: "empty" }, "No sample has all of these. Clear a filter or the search."));
    return;
  }
  drawRows();
  if (current >= 0) reveal();
}

function drawRows() {
  const box = byId("list");
  if (!shown.length || !box.clientHeight) return;
  const { columns, height, width } = layoutNow();
  byId("spacer").style.height = `${Math.ceil(shown.length / columns) * height}px`;
  const first = Math.max(0, Math.floor(box.scrollTop / height) - AHEAD) * columns;
  const last = Math.min(shown.length, (Math.ceil((box.scrollTop + box.clientHeight) / height) + AHEAD) * columns);
  for (const [place, node] of nodes) {
    if (place < first || place >= last) {
      node.remove();
      nodes.delete(place);
    }
  }
  const added = document.createDocumentFragment();
  for (let place = first; place < last; place += 1) {
    let node = nodes.get(place);
    if (!node) {
      node = state.gallery ? tileOf(shown[place], place) : rowOf(shown[place], place);
      nodes.set(place, node);
      added.append(node);
    }
    node.setAttribute("aria-selected", String(place === current));
    node.style.top = `${Math.floor(place / columns) * height}px`;
    if (state.gallery) {
      node.style.left = `${(place % columns) * width}px`;
      node.style.width = `${width}px`;
      node.style.height = `${height}px`;
    }
  }
  byId("spacer").append(added);
  if (nodes.has(current)) box.setAttribute("aria-activedescendant", `row-${current}`);
  else box.removeAttribute("aria-activedescendant");
}

function smallPictures(sample) {
  const found = sample.images.slice(0, 2).map((place) => {
    const { uri } = picture(place);
    return uri ? el("img", { src: uri, alt: "", decoding: "async" }) : el("span", { class: "gone" }, "no image here");
  });
  return el("div", { class: "pics" }, found.length ? found : el("span", { class: "gone" }, "no image named"));
}

const rowShell = (kind, place) => el("div", { class: kind, role: "option", id: `row-${place}`, "data-place": place, "aria-posinset": place + 1, "aria-setsize": shown.length });

function rowOf(item, place) {
  const { sample, answer } = item;
  const facts = [sample.modality, sample.question_type, sample.severity].filter(Boolean).join(" · ");
  const said = isChoice(sample.task) ? sample.question : answer.reply;
  return add(
    rowShell("row", place),
    smallPictures(sample),
    el("div", { class: "name" }, data(item.index), " ", el("small", null, data(facts))),
    badge(item),
    el("div", { class: "said", dir: "auto" }, ...marked((said || answer.reply || "").slice(0, 300), wordsOf(state.q))),
  );
}

function tileOf(item, place) {
  return add(rowShell("tilebox", place), smallPictures(item.sample), el("div", { class: "name" }, badge(item, true), " ", data(item.index)));
}

// The chosen row comes into sight with some room around it.
function reveal() {
  const box = byId("list");
  const { columns, height } = layoutNow();
  const top = Math.floor(current / columns) * height;
  if (top < box.scrollTop) box.scrollTop = Math.max(0, top - height / 2);
  else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + 1.5 * height - box.clientHeight;
  drawRows();
}

function choose(place, reading) {
  if (place < 0 || place >= shown.length) return;
  current = place;
  state.sample = shown[place].index;
  const classes = byId("samples").classList;
  const opened = reading && narrow() && !classes.contains("reading");
  if (reading) classes.add("reading");
  remember(opened);
  reveal();
  drawDetail();
}

const step = (by) => shown.length && choose(Math.min(shown.length - 1, Math.max(0, current < 0 ? (by < 0 ? shown.length - 1 : 0) : current + by)), true);
