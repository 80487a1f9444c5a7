// Single keys, where nobody is writing.

function startKeys() {
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("made").textContent = `Made by medqbench_vlmeval ${told.version}.`;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    const writing = event.target.closest("input, select, textarea");
    if (viewer.isLarge()) {
      if (!writing && byId("keys-on").checked && (event.key === "j" || event.key === "k")) step(event.key === "j" ? 1 : -1);
    } else if (event.key === "Escape") escape(event);
    else if (!writing && act(event)) event.preventDefault();
  });
}

function escape(event) {
  if (state.view !== "samples") return;
  if (event.target === byId("search")) byId("list").focus();
  else if (byId("samples").classList.contains("reading")) backToList();
}

function act(event) {
  const inList = event.target === byId("list") || event.target === document.body || event.target === byId("main");
  const { columns } = state.gallery ? layoutNow() : { columns: 1 };
  if (state.view === "samples" && inList) {
    const moves = { ArrowDown: columns, ArrowUp: -columns, Home: -shown.length, End: shown.length };
    if (state.gallery) Object.assign(moves, { ArrowRight: 1, ArrowLeft: -1 });
    if (Object.hasOwn(moves, event.key)) {
      step(moves[event.key]);
      return true;
    }
    if (event.key === "Enter" && current >= 0) {
      choose(current, true);
      byId("detail").focus();
      return true;
    }
  }
  if (!byId("keys-on").checked) return false;
  const plain = { t: nextTheme, "?": () => byId("help").showModal(), "/": toSearch };
  const browsing = { j: () => step(1), k: () => step(-1), g: () => byId("layout").click(), f: onlyFailed };
  if (state.view === "samples" && state.sample !== null && viewer.key(event)) return true;
  const action = Object.hasOwn(plain, event.key) ? plain[event.key] : state.view === "samples" && Object.hasOwn(browsing, event.key) ? browsing[event.key] : null;
  if (!action) return false;
  action();
  return true;
}

function toSearch() {
  if (state.view !== "samples") location.hash = samplesHash(state.run, []);
  byId("samples").classList.remove("reading");
  requestAnimationFrame(() => byId("search").focus());
}

function onlyFailed() {
  if (state.facets.get("outcome") === FAILED) state.facets.delete("outcome");
  else state.facets.set("outcome", FAILED);
  refresh();
}
