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
  // On a narrow screen the filters would push the samples off it.
  if (narrow()) byId("more").open = false;
}

function drawFilters() {
  byId("order").value = state.order;
  byId("layout").setAttribute("aria-pressed", String(state.gallery));
  if (document.activeElement !== byId("search")) byId("search").value = state.q;
  const others = runs.map((run, place) => [place, run]).filter(([place]) => place !== state.run && shareSamples(state.run, place));
  byId("versus").parentElement.hidden = !others.length;
  fill(byId("versus"), option("", "no other run", state.versus === null), ...others.map(([place, run]) => option(place, labelled(run.label), place === state.versus)));
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
  const n = state.facets.size + (state.q ? 1 : 0);
  byId("active").textContent = n ? `(${n} on)` : "";
  byId("reset").disabled = !n;
}
