// Elements are made here and nowhere else. Texts go in as text nodes: nothing that a model wrote is ever markup.

const byId = (id) => document.getElementById(id);

// el("p", { class: "x", onclick: f }, "text", otherElement, null)
function el(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  add(made, ...children);
  return made;
}

function add(parent, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return parent;
}

const fill = (parent, ...children) => {
  parent.replaceChildren();
  return add(parent, ...children);
};

// Somebody else's text within a line: its direction ends with it.
const data = (text, attributes) => el("bdi", { dir: "auto", ...attributes }, text);

const grouped = (count) => count.toLocaleString("en-US");
const counted = (count, one, many) => `${grouped(count)} ${count === 1 ? one : many || `${one}s`}`;

function figure(value, unit) {
  if (value === null || value === undefined) return "–";
  return unit === "percent" ? value.toFixed(2) : value.toFixed(3);
}

function option(value, label, chosen) {
  const made = el("option", { value }, label);
  made.selected = Boolean(chosen);
  return made;
}

// The same where no element can stand, as in an option: first strong isolate, pop directional isolate.
const TURNS = /[\p{Bidi_Control}\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const isolated = (text) => (TURNS.test(text) ? `\u2068${text}\u2069` : text);
const LONGEST_LABEL = 120;
const labelled = (text) => isolated(text.length > LONGEST_LABEL ? `${text.slice(0, LONGEST_LABEL)}…` : text);

const MOST_MARKS = 2000;

// The text with the words that were searched for marked; of a flood of them, the first ones.
function marked(text, words) {
  const found = words.filter(Boolean).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!found.length) return [text];
  return text
    .split(new RegExp(`(${found.join("|")})`, "giu"))
    .reduce((pieces, piece, place) => (place <= 2 * MOST_MARKS ? pieces.push(piece) : (pieces[pieces.length - 1] += piece), pieces), [])
    .map((piece, place) => (place % 2 ? el("mark", null, piece) : piece))
    .filter((piece) => piece !== "");
}

const FOLDED_FROM = 1600;
const HEAD = 1000;
const TAIL = 400;

// A block of text; of a long one both ends until it is asked for.
function block(text, words = []) {
  const box = el("div", { class: text ? "text" : "text empty", dir: "auto" });
  if (!text) return fill(box, "(empty)");
  if (text.length <= FOLDED_FROM) return fill(box, ...marked(text, words));
  const holder = el("div");
  const left = text.length - HEAD - TAIL;
  const button = el("button", { type: "button", class: "fold noprint", "aria-expanded": "false" });
  const show = (whole) => {
    button.setAttribute("aria-expanded", String(whole));
    button.textContent = whole ? "Fold" : `Show all ${grouped(text.length)} characters`;
    if (whole) fill(box, ...marked(text, words));
    else {
      const gap = el("span", { class: "plain" }, `\n[… ${grouped(left)} characters folded …]\n`);
      fill(box, ...marked(text.slice(0, HEAD), words), gap, ...marked(text.slice(-TAIL), words));
    }
  };
  button.addEventListener("click", () => show(button.getAttribute("aria-expanded") === "false"));
  show(false);
  return add(holder, box, button);
}
