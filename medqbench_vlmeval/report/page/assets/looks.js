// How runs and their names are shown: the marker and colour that figures and charts use too, names that break well.

const SHAPES = {
  o: "M5 1a4 4 0 1 0 .01 0z",
  s: "M1.4 1.4h7.2v7.2H1.4z",
  "^": "M5 .8 9.4 8.8H.6z",
  v: "M5 9.2 9.4 1.2H.6z",
  "<": "M.8 5 8.8.6v8.8z",
  ">": "M9.2 5 1.2.6v8.8z",
  D: "M5 .5 9.5 5 5 9.5.5 5z",
  d: "M5 .3 8 5 5 9.7 2 5z",
  P: "M3.4.8h3.2v2.6h2.6v3.2H6.6v2.6H3.4V6.6H.8V3.4h2.6z",
  X: "M5 3 7.2.8l2 2L7 5l2.2 2.2-2 2L5 7 2.8 9.2l-2-2L3 5 .8 2.8l2-2z",
  p: "M5 .6 9.4 3.9 7.7 9H2.3L.6 3.9z",
  h: "M5 .5 8.9 2.75v4.5L5 9.5 1.1 7.25v-4.5z",
};

// The marker of a run (its place among `runs`); of null, of a published row, a hollow one.
function swatch(run) {
  const look = run === null ? { colour: "none", marker: "o" } : runs[run].look;
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("viewBox", "0 0 10 10");
  made.setAttribute("class", run === null ? "swatch hollow" : "swatch");
  made.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[look.marker] || SHAPES.o);
  path.setAttribute("fill", look.colour);
  made.append(path);
  return made;
}

// A name that may go on in the next line behind its own separators, and nowhere else while there is room for its words.
function named(text, attributes) {
  const pieces = text.split(/(?<=[-_/:.·])(?=[^\s-])/u).slice(0, 60);
  const rest = text.slice(pieces.join("").length);
  return add(el("bdi", { dir: "auto", class: "named", ...attributes }), pieces.flatMap((piece, place) => (place ? [el("wbr"), piece] : [piece])), rest);
}

// The runs to choose from, a group a dataset, the best first; of one dataset there are no groups. `places` are theirs.
function runOptions(places, chosen) {
  const overall = (place) => runs[place].parts[0].measures[0][1];
  const groups = new Map();
  for (const place of places) groups.set(runs[place].dataset, [...(groups.get(runs[place].dataset) || []), place]);
  const lines = (found) => found.sort((a, b) => (overall(b) ?? -1) - (overall(a) ?? -1)).map((place) => option(place, labelled(runs[place].label), place === chosen));
  return groups.size < 2 ? [...groups.values()].flatMap(lines) : [...groups].map(([dataset, found]) => el("optgroup", { label: labelled(dataset) }, lines(found)));
}
