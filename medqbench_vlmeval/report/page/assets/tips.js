// Words that appear beside what has `data-tip`, on hover and on focus; the values of a figure are stepped through with arrows.

function startTips() {
  const tip = byId("tip");
  let shownFor = null;
  const show = (target) => {
    shownFor = target;
    tip.textContent = target.dataset.tip;
    tip.hidden = false;
    const [at, own] = [target.getBoundingClientRect(), tip.getBoundingClientRect()];
    tip.style.left = `${Math.max(4, Math.min(at.left + at.width / 2 - own.width / 2, document.documentElement.clientWidth - own.width - 4))}px`;
    tip.style.top = `${at.top - own.height - 8 < 0 ? at.bottom + 8 : at.top - own.height - 8}px`;
  };
  const hide = () => ((shownFor = null), (tip.hidden = true));
  const over = (event) => {
    const target = event.target.closest?.("[data-tip]");
    if (target) show(target);
    else if (shownFor && shownFor !== document.activeElement) hide();
  };
  document.addEventListener("mouseover", over);
  document.addEventListener("focusin", (event) => (event.target.matches("[data-tip]") ? show(event.target) : hide()));
  document.addEventListener("focusout", hide);
  addEventListener("scroll", hide, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  for (const drawing of document.querySelectorAll(".drawing")) startValues(drawing);
}

// Without this script the titles in the figure are the browser's own tips, so they are taken out only here.
function startValues(drawing) {
  const values = [...drawing.querySelectorAll("g > title")].map((title) => {
    const mark = title.parentNode;
    mark.dataset.tip = title.textContent;
    mark.setAttribute("aria-label", title.textContent);
    mark.setAttribute("role", "img");
    mark.setAttribute("tabindex", "-1");
    title.remove();
    return mark;
  });
  if (!values.length) return;
  drawing.setAttribute("aria-description", "Arrow keys step through the values");
  drawing.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -values.length, End: values.length };
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    const at = values.indexOf(document.activeElement);
    values[Math.max(0, Math.min(values.length - 1, at < 0 ? 0 : at + steps[event.key]))].focus();
  });
}
