// The bar above the samples.

function startFilters() {
  fill(byId("order"), ...[...ORDERS].map(([name, label]) => option(name, label)));
  byId("order").addEventListener("change", () => ((state.order = byId("order").value), refresh()));
  let waiting = 0;
  byId("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => ((state.q = byId("search").value), refresh()), 120);
  });
  byId("versus").addEventListener("change", () => {
    const chosen = byId("versus").value;
    state.versus = chosen === "" ? null : Number(chosen);
    if (state.versus === null) state.facets.delete("against");
    refresh();
  });
  byId("layout").addEventListener("click", () => ((state.gallery = !state.gallery), refresh()));
  byId("reset").addEventListener("click", () => {
    state.facets.clear();
    state.q = "";
    byId("search").value = "";
    refresh();
  });
  byId("more").addEventListener("click", () => {
    const open = byId("facets").hidden;
    byId("facets").hidden = !open;
    byId("more").setAttribute("aria-expanded", String(open));
  });
}

function drawFilters() {
  byId("order").value = state.order;
  byId("layout").setAttribute("aria-pressed", String(state.gallery));
  if (document.activeElement !== byId("search")) byId("search").value = state.q;
  const others = [...runs.keys()].filter((place) => place !== state.run && shareSamples(state.run, place));
  byId("versus").parentElement.hidden = !others.length;
  fill(byId("versus"), option("", "no other run", state.versus === null), ...runOptions(others, state.versus));
  const focused = document.activeElement && document.activeElement.id;
  const labels = FACETS.map((facet) => {
    const chosen = state.facets.get(facet.name);
    const found = counts(facet, passing(facet));
    const all = counts(facet, items[state.run]);
    if (chosen === undefined && all.length < 2 && !(facet.name === "outcome" || (all.length && all[0][1] < items[state.run].length))) return null;
    const select = el("select", { id: `facet-${facet.name}`, class: chosen === undefined ? null : "set", dir: "auto" }, option("", "all"));
    const label = facet.label || ((value) => value);
    if (chosen !== undefined && !found.some(([value]) => value === chosen)) found.push([chosen, 0]);
    add(select, ...found.map(([value, n]) => option(value, `${labelled(label(value))} (${grouped(n)})`, value === chosen)));
    select.addEventListener("change", () => {
      if (select.value === "" && select.selectedIndex === 0) state.facets.delete(facet.name);
      else state.facets.set(facet.name, select.value);
      refresh();
    });
    return el("label", null, facet.title, select);
  });
  fill(byId("facets"), ...labels);
  if (focused && focused.startsWith("facet-") && byId(focused)) byId(focused).focus();
  drawChosenFilters(focused);
}

// What is on, each to be taken off alone.
function drawChosenFilters(focused) {
  const chips = FACETS.filter(({ name }) => state.facets.has(name)).map(({ name, title, label = String }) => {
    const words = [el("span", { class: "plain" }, `${title}: `), data(label(state.facets.get(name))), el("span", { "aria-hidden": "true" }, " ×")];
    const off = () => {
      state.facets.delete(name);
      refresh();
      (byId("chosen").querySelector("button") || byId("more")).focus();
    };
    return el("li", null, el("button", { type: "button", class: "chip", id: `off-${name}`, title: "Remove this filter", onclick: off }, words));
  });
  fill(byId("chosen"), ...chips);
  if (focused && focused.startsWith("off-") && byId(focused)) byId(focused).focus();
  byId("active").textContent = state.facets.size ? ` (${state.facets.size})` : "";
  byId("reset").hidden = !state.facets.size && !state.q;
}
