// The ratings of one rater: kept in this browser after each key, exported for 'medqbench agreement' or 'synth calibrate', taken
// over from an export. A page that asks for visible faults keeps those that are ticked, by their keys.

const told = JSON.parse(byId("data").textContent);
const FORMAT = told.format;
const DIMENSIONS = Object.keys(told.dimensions);
const KEPT = `medqbench-ratings:${told.page}:`;
const itemOf = new Map(told.items.map((item) => [item.id, item]));
const ratings = { rater: "", at: 0, by: new Map(), isKept: true, isExported: true };

const allowed = (item, dimension) => Object.keys(told.tasks[item.task][1][dimension][1]).map(Number);
const blank = () => ({ ...Object.fromEntries(DIMENSIONS.map((name) => [name, null])), ...(told.faults ? { faults: "" } : {}), comment: "", rated_at: "" });
const ratingOf = (item) => ratings.by.get(item.id) || blank();
const isWhole = (item) => DIMENSIONS.every((name) => ratingOf(item)[name] !== null);
const isBegun = (item) => DIMENSIONS.some((name) => ratingOf(item)[name] !== null);
const faultsOf = (item) => ratingOf(item).faults.split(" ").filter(Boolean);
const named = (text) => text.normalize("NFC").replace(/[\p{C}\s]+/gu, " ").trim().slice(0, 60);

// A browser may forbid storage, or have no room left: then only exports keep anything.
function storage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return undefined;
  }
}

function change(item, changes) {
  ratings.by.set(item.id, { ...ratingOf(item), ...changes, rated_at: new Date().toISOString() });
  ratings.isExported = false;
  keep();
}

function keep() {
  const text = JSON.stringify({ ...exported(), at: ratings.at });
  ratings.isKept = storage((kept) => (kept.setItem(KEPT + ratings.rater, text), true)) === true;
}

const earlierRaters = () => storage((kept) => Object.keys(kept).filter((name) => name.startsWith(KEPT)).map((name) => name.slice(KEPT.length))) || [];

function begin(rater) {
  Object.assign(ratings, { rater, at: 0, by: new Map(), isExported: true });
  const content = parsed(storage((kept) => kept.getItem(KEPT + rater)) ?? "");
  takeOver(content);
  if (content?.at in told.items) ratings.at = content.at;
  keep();
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null;
  }
}

function exported() {
  const rows = told.items.map((item) => ({ "rating id": item.id, ...ratingOf(item) }));
  return { format: FORMAT, page: told.page, rater: ratings.rater, reference: told.reference, version: told.version, exported: new Date().toISOString(), ratings: rows };
}

// A comment that begins like a formula stays a text in a spreadsheet.
function exportedCsv() {
  const cell = (value) => `"${String(value ?? "").replace(/^(?=[=+\-@\t\r])/, "'").replaceAll('"', '""')}"`;
  const head = ["rating id", "rater", "page", "reference mode", ...Object.values(told.dimensions), ...(told.faults ? ["faults"] : []), "comment", "rated at"];
  const rows = told.items.map((item) => [item.id, ratings.rater, told.page, told.reference, ...DIMENSIONS.map((name) => ratingOf(item)[name]), ...(told.faults ? [ratingOf(item).faults] : []), ratingOf(item).comment, ratingOf(item).rated_at]);
  return `\ufeff${[head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

function download(ending, text) {
  const address = URL.createObjectURL(new Blob([text], { type: ending === "csv" ? "text/csv" : "application/json" }));
  el("a", { href: address, download: `ratings-${told.page}-${ratings.rater.replace(/[^\p{L}\p{N}]+/gu, "-")}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
  ratings.isExported = true;
}

// What is wrong with an export, in a sentence; null where it is one of this page.
function problem(content) {
  if (content?.format !== FORMAT || !Array.isArray(content.ratings)) return "is no JSON export of a rating page.";
  if (content.page !== told.page) return `is an export of another page (${labelled(String(content.page))}; this is ${told.page}).`;
  if (typeof content.rater !== "string" || !named(content.rater)) return "names no rater.";
  for (const [place, row] of content.ratings.entries()) {
    const item = itemOf.get(row?.["rating id"]);
    if (!item) return `, rating ${place + 1}: its rating id is not on this page.`;
    const wrong = DIMENSIONS.find((name) => row[name] !== null && !allowed(item, name).includes(row[name]));
    if (wrong) return `, rating ${place + 1}: ${labelled(String(row[wrong]))} is no rating of ${told.dimensions[wrong]}.`;
    const unknown = told.faults && String(row.faults ?? "").split(" ").find((key) => key && !Object.hasOwn(told.faults[item.task], key));
    if (unknown) return `, rating ${place + 1}: ${labelled(unknown)} is no fault that this page has.`;
  }
  return null;
}

// Of two ratings of one answer the later one stays. Returns how many were taken over.
function takeOver(content) {
  if (problem(content)) return 0;
  const newer = content.ratings.filter((row) => row.rated_at && String(row.rated_at) > ratingOf(itemOf.get(row["rating id"])).rated_at);
  for (const row of newer) {
    const known = [...DIMENSIONS, ...(row.first ? ["first"] : []), ...(told.faults ? ["faults"] : [])].map((name) => [name, name === "faults" ? String(row.faults ?? "") : row[name]]);
    ratings.by.set(row["rating id"], { ...Object.fromEntries(known), comment: String(row.comment || ""), rated_at: String(row.rated_at) });
  }
  return newer.length;
}

// The same rater in another tab.
addEventListener("storage", ({ key, newValue }) => ratings.rater && key === KEPT + ratings.rater && takeOver(parsed(newValue ?? "")));
