const THEMES = ["system", "light", "dark"];
let theme = "system";

// A page in a frame, or with storage forbidden, still has its switch.
function stored(value) {
  try {
    if (value === undefined) return localStorage.getItem("medqbench-theme");
    localStorage.setItem("medqbench-theme", value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
  return null;
}

function setTheme(name) {
  theme = THEMES.includes(name) ? name : "system";
  if (theme === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
  stored(theme);
}

function startTheme() {
  setTheme(stored());
  byId("theme").addEventListener("click", nextTheme);
}
