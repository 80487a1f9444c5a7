// An image, or a pair, to be judged: zoom in whole steps without smoothing, pan, window and level, side by side or blinking.
// It needs el, add and fill of dom.js, and zoom.css; nothing else of a page.
//
//   const viewer = imageViewer(box, [{ name, label, full, fallback, width, height, grey }], { missing, step });
//   viewer.show(images, title)  the next sample's images; zoom, place, window and level stay as they are; the title is
//                          that of the large view
//   viewer.home(box)       puts it elsewhere in the page (after the large view is closed, if that is open)
//   viewer.large(true)     over the whole page, as the key z; Esc closes. viewer.isLarge() tells
//   viewer.key(event)      acts on + - 0 1 2 4 8 b o r z and tells whether it did: for a page that has keys of its own
//
// full: address of the original, null for none; fallback: address of a smaller copy, shown until the original is there and
// where it is not; width, height: the original's, in pixels; grey: whether it has a window and a level (undefined: looked at);
// label: 'Image 1'; name: the file's, shown below (none for raters who are blinded); from: [address, words] where 'full'
// was converted for browsers; none: words for an image that is nowhere. missing(image) is called where an original cannot be
// loaded, step(by) by the large view's buttons for the samples before and after, which are there where it is given.

// Device pixels a pixel of the image; below 1:1 the browser averages.
const ZOOMS = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32];
const ZOOM_KEYS = { 1: 1, 2: 2, 4: 4, 8: 8 };
// DICOM's linear function (PS3.3 C.11.2.1.2.1) shows 8 bits as they are with this window and level.
const AS_STORED = { window: 256, level: 128 };
const BLINK = 500; // milliseconds that each image of a pair stays
const WHEEL = 60; // pixels of the wheel a step
let viewersMade = 0;

const within = (least, value, most) => Math.min(most, Math.max(least, value));
const ratioWords = (scale) => (scale >= 1 ? `${Number(scale.toFixed(2))}:1` : `${Math.round(scale * 100)}%`);

function imageViewer(box, images, options = {}) {
  const view = { zoom: null, x: 0.5, y: 0.5, ...AS_STORED, windowing: false, blink: false };
  let panes = [];
  let front = 0;
  let held = false;
  let scrolled = -Infinity;
  let turned = 0;
  let home = box;
  const filter = grade(`zoom-window-${(viewersMade += 1)}`);
  const button = (text, words, onclick) => el("button", { type: "button", title: words, "aria-label": words, onclick }, text);
  const zooms = [[null, "Fit"], ...Object.values(ZOOM_KEYS).map((zoom) => [zoom, `${zoom}:1`])].map(([zoom, text]) => [zoom, button(text, zoom ? `${text}, device pixels a pixel (key ${zoom})` : "Fit (key 0)", () => zoomTo(zoom))]);
  const said = el("output", { class: "zoom-said" });
  const level = Object.keys(AS_STORED).map((name) => el("input", { type: "number", min: name === "window" ? 2 : -255, max: 512, "aria-label": `${name}, grey levels`, oninput: ({ target }) => target.value && regrade({ [name]: Number(target.value) }, target) }));
  const windowing = button("Window", "Drag changes window (sideways) and level (up and down); also Shift or the right button with a drag", () => change({ windowing: !view.windowing }));
  const greys = el("span", { class: "zoom-group", role: "group", "aria-label": "Window and level" }, windowing, el("label", null, "W ", level[0]), el("label", null, "L ", level[1]), button("Reset", "Window and level as stored (double click, or key r)", () => regrade(AS_STORED)));
  const blink = button("Blink", "Both images in one place, by turns (key b)", () => change({ blink: !view.blink }));
  const other = el("button", { type: "button", title: "The other image in this place for as long as this, or the key o, is held", onpointerdown: () => hold(true), onpointerup: () => hold(false), onpointerleave: () => hold(false), onkeydown: ({ key }) => (key === " " || key === "Enter") && hold(true), onkeyup: () => hold(false), onblur: () => hold(false) }, "Hold: other");
  const pair = el("span", { class: "zoom-group", role: "group", "aria-label": "Pair" }, blink, other);
  const enlarge = button("Large", "Over the whole page (key z)", () => large(!dialog.open));
  const steps = el("span", { class: "zoom-group zoom-steps", role: "group", "aria-label": "Samples" }, options.step && [button("↑", "Previous sample (key k)", () => options.step(-1)), button("↓", "Next sample (key j)", () => options.step(1))]);
  const bar = el("div", { class: "zoom-bar noprint", role: "group", "aria-label": "Image" }, el("span", { class: "zoom-group", role: "group", "aria-label": "Zoom" }, zooms.map(([, made]) => made), button("−", "Smaller (key -)", () => step(-1)), button("+", "Larger (key +)", () => step(1)), said), enlarge, steps, greys, pair);
  const stage = el("div", { class: "zoom-stage", tabindex: 0, role: "group", "aria-roledescription": "image viewer", "aria-keyshortcuts": "+ - 0 1 2 4 8 B O R Z" });
  const heading = el("p", { class: "zoom-title", dir: "auto" });
  const root = el("div", { class: "zoom" }, heading, stage, bar, filter.element);
  const dialog = el("dialog", { class: "zoom-large", "aria-label": "Images, large", onclose: shrink });

  function show(next, title = "") {
    heading.textContent = title;
    panes = next.map(paneOf);
    panes.forEach((pane, at) => pane.tag.textContent = pane.image.label || (next.length > 1 ? `Image ${at + 1}` : ""));
    [front, held] = [0, false];
    fill(stage, panes.map(({ figure }) => figure));
    stage.setAttribute("aria-label", `${next.length > 1 ? "Two images" : "Image"}; arrows move what is larger than its place`);
    change({});
  }

  function paneOf(image) {
    const tag = el("strong", { class: "zoom-tag" });
    const frame = el("div", { class: "zoom-frame" });
    const room = el("div", { class: "zoom-room" }, frame, tag);
    const what = el("span");
    const pane = { image, tag, frame, room, what, width: image.width || 1, height: image.height || 1, shown: "", grey: image.grey };
    pane.figure = el("figure", { class: "zoom-pane" }, room, el("figcaption", null, what, image.name ? el("code", { class: "file" }, el("bdi", null, image.name)) : null));
    let small = null;
    let missing = !image.full;
    const load = (address, arrived, failed) => {
      const img = el("img", { alt: `${image.label || "Image"} of this sample`, draggable: "false", decoding: "sync", onload: () => arrived(img), onerror: failed });
      img.src = address;
    };
    if (missing && !image.fallback) shows(pane, null, "none");
    if (image.fallback) {
      load(image.fallback, (img) => {
        small = img;
        if (pane.grey === undefined) pane.grey = looksGrey(img);
        if (pane.shown !== "original") shows(pane, img, missing ? "thumbnail" : "waiting");
      });
    }
    if (image.full) {
      load(image.full, (img) => {
        if (pane.grey === undefined && !image.fallback) pane.grey = looksGrey(img);
        shows(pane, img, "original");
      }, () => {
        missing = true;
        if (small || !image.fallback) shows(pane, small, small ? "thumbnail" : "none");
        options.missing?.(image);
      });
    }
    return pane;
  }

  function shows(pane, img, kind) {
    pane.shown = kind;
    const { image } = pane;
    if (img) {
      // A thumbnail stands in the original's size until that is there; where it stays, its own pixels count.
      if (kind !== "waiting") [pane.width, pane.height] = [img.naturalWidth || 1, img.naturalHeight || 1];
      fill(pane.frame, img);
    } else fill(pane.frame, el("p", { class: "zoom-none" }, image.none || "no image on this machine"));
    const size = image.width ? `${image.width} × ${image.height} px` : "";
    const small = `; this is a thumbnail of ${pane.width} px, too small to judge fine noise or blur`;
    // A browser opens no file that is inside the page.
    const address = kind === "original" ? (image.from ? image.from[0] : image.full) : null;
    const file = address && !address.startsWith("data:") ? el("span", { class: "noprint" }, " · ", el("a", { href: address, target: "_blank", rel: "noopener" }, "original file")) : null;
    fill(pane.what, size, kind === "thumbnail" && pane.width < image.width ? small : null, kind === "original" && image.from ? `; ${image.from[1]}` : null, file);
    draw();
  }

  // What the pane shows of an image, in CSS pixels of the pane.
  function lies(pane) {
    const [wide, high] = [pane.room.clientWidth, pane.room.clientHeight];
    const most = Math.min(wide / pane.width, high / pane.height) * devicePixelRatio;
    const fit = most >= 1 ? Math.floor(most) : most;
    const scale = (view.zoom === null ? fit : view.zoom) / devicePixelRatio;
    const along = (centre, drawn, room) => (drawn <= room ? (room - drawn) / 2 : within(room - drawn, room / 2 - centre * drawn, 0));
    const [width, height] = [pane.width * scale, pane.height * scale];
    return { wide, high, fit, scale, width, height, left: along(view.x, width, wide), top: along(view.y, height, high) };
  }

  function draw() {
    const two = panes.length > 1;
    stage.classList.toggle("pair", two);
    stage.classList.toggle("blink", two && view.blink);
    stage.classList.toggle("tall", stage.clientHeight > stage.clientWidth * 1.2);
    stage.classList.toggle("windowing", view.windowing && hasGrey());
    const first = (front + (held ? 1 : 0)) % Math.max(1, panes.length);
    let pans = false;
    panes.forEach((pane, at) => {
      pane.figure.style.order = String((at - first + panes.length) % panes.length);
      pane.figure.classList.toggle("behind", at !== first);
      const img = pane.frame.querySelector("img");
      if (!img) return;
      const { left, top, width, height, scale, wide, high } = lies(pane);
      // On whole pixels of the screen and of the page alike, wherever the pane begins.
      const edge = pane.room.getBoundingClientRect();
      const grid = [1, 2, 3, 4].find((length) => Number.isInteger(length * devicePixelRatio)) || 1 / devicePixelRatio;
      const whole = (length, from) => Math.round((from + length) / grid) * grid - from;
      img.style.width = `${width}px`;
      img.style.height = `${height}px`;
      img.style.left = `${whole(left, edge.left)}px`;
      img.style.top = `${whole(top, edge.top)}px`;
      img.style.imageRendering = pane.shown !== "waiting" && scale * devicePixelRatio >= 1 ? "pixelated" : "auto";
      pane.frame.style.filter = pane.grey && !asStored() ? `url(#${filter.id})` : "";
      pans = pans || width > wide + 1 || height > high + 1;
    });
    // A finger scrolls the page where there is nothing to move.
    stage.style.touchAction = pans || dialog.open || (view.windowing && hasGrey()) ? "none" : "pan-y";
    stage.classList.toggle("pans", pans);
    for (const [zoom, made] of zooms) made.setAttribute("aria-pressed", String(zoom === view.zoom));
    const now = panes.length ? lies(panes[0]) : null;
    const words = now ? ratioWords(now.scale * devicePixelRatio) : "";
    if (said.textContent !== words) said.textContent = words;
    greys.hidden = !hasGrey();
    greys.classList.toggle("changed", !asStored());
    windowing.setAttribute("aria-pressed", String(view.windowing));
    Object.keys(AS_STORED).forEach((name, at) => document.activeElement !== level[at] && (level[at].value = String(Math.round(view[name]))));
    pair.hidden = !two;
    bar.hidden = !dialog.open && panes.every(({ shown }) => shown === "none");
    blink.setAttribute("aria-pressed", String(view.blink));
    enlarge.textContent = dialog.open ? "Close" : "Large";
  }

  const hasGrey = () => panes.some((pane) => pane.grey);
  const asStored = () => Object.entries(AS_STORED).every(([name, value]) => view[name] === value);

  function change(changes) {
    Object.assign(view, changes);
    clearInterval(turned);
    if (view.blink && panes.length > 1) turned = setInterval(turn, BLINK);
    else front = 0;
    draw();
  }

  function turn() {
    if (held || document.hidden || !root.isConnected) return;
    front = (front + 1) % panes.length;
    draw();
  }

  function hold(on) {
    if (held === on || panes.length < 2) return;
    held = on;
    draw();
  }

  function regrade(changes) {
    Object.assign(view, changes);
    view.window = within(2, view.window, 512);
    view.level = within(-255, view.level, 512);
    filter.set(Math.round(view.window), Math.round(view.level));
    draw();
  }

  // The pane and the place in it that an event speaks of; without one the middle of the first.
  function under(event) {
    const pane = (event && panes.find(({ room }) => room.contains(event.target))) || panes.find(({ figure }) => !figure.classList.contains("behind")) || panes[0];
    if (!pane) return null;
    const edge = pane.room.getBoundingClientRect();
    return event ? { pane, x: event.clientX - edge.left, y: event.clientY - edge.top } : { pane, x: edge.width / 2, y: edge.height / 2 };
  }

  // What lies at a place stays there.
  function zoomTo(zoom, at = under(null)) {
    if (!at) return;
    const before = lies(at.pane);
    view.zoom = zoom;
    const after = lies(at.pane);
    const centre = (place, start, drawn, room, now) => (room / 2 - place + ((place - start) / drawn) * now) / now;
    view.x = centre(at.x, before.left, before.width, after.wide, after.width);
    view.y = centre(at.y, before.top, before.height, after.high, after.height);
    settle(at.pane);
    draw();
  }

  function settle(pane) {
    const { wide, high, width, height } = lies(pane);
    const kept = (centre, drawn, room) => (drawn <= room ? 0.5 : within(room / 2 / drawn, centre, 1 - room / 2 / drawn));
    view.x = kept(view.x, width, wide);
    view.y = kept(view.y, height, high);
  }

  // Whether there was a larger or smaller step to go to.
  function step(by, at = under(null)) {
    if (!at) return false;
    const { fit, scale } = lies(at.pane);
    const now = scale * devicePixelRatio;
    const steps = [...ZOOMS.filter((zoom) => zoom >= Math.min(1, fit)), fit].sort((a, b) => a - b);
    const next = by > 0 ? steps.find((zoom) => zoom > now * 1.001) : steps.findLast((zoom) => zoom < now * 0.999);
    if (next === undefined) return false;
    zoomTo(next === fit ? null : next, at);
    return true;
  }

  function move(across, down, pane = under(null)?.pane) {
    if (!pane) return;
    const { width, height } = lies(pane);
    view.x -= across / width;
    view.y -= down / height;
    settle(pane);
    draw();
  }

  function key(event) {
    const plain = { "+": () => step(1), "=": () => step(1), "-": () => step(-1), _: () => step(-1), 0: () => zoomTo(null), r: () => regrade(AS_STORED), z: () => large(!dialog.open) };
    if (panes.length > 1) Object.assign(plain, { b: () => change({ blink: !view.blink }), o: () => hold(true) });
    for (const [name, zoom] of Object.entries(ZOOM_KEYS)) plain[name] = () => zoomTo(zoom);
    if (!panes.length || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(plain, event.key)) return false;
    plain[event.key]();
    return true;
  }

  function arrows(event) {
    const along = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!Object.hasOwn(along, event.key) || event.ctrlKey || event.metaKey || event.altKey) return false;
    const [across, down] = along[event.key];
    if (event.shiftKey && hasGrey()) regrade({ window: view.window - 8 * across, level: view.level - 8 * down });
    else if (!stage.classList.contains("pans")) return false;
    else move(across * 64, down * 64);
    return true;
  }

  root.addEventListener("keydown", (event) => {
    if (event.target.closest("input") || !(key(event) || (event.target === stage && arrows(event)))) return;
    event.preventDefault();
    event.stopPropagation();
  });
  addEventListener("keyup", (event) => event.key === "o" && hold(false));

  addEventListener("wheel", (event) => stage.contains(event.target) || (scrolled = event.timeStamp), { passive: true, capture: true });
  let wheeled = 0;
  stage.addEventListener("wheel", (event) => {
    // Who scrolls the page and meets an image on the way goes on scrolling.
    if (!dialog.open && event.timeStamp - scrolled < 300) {
      scrolled = event.timeStamp;
      return;
    }
    wheeled += event.deltaMode ? Math.sign(event.deltaY) * WHEEL : event.deltaY;
    if (Math.abs(wheeled) < WHEEL) return event.preventDefault();
    const moved = step(wheeled < 0 ? 1 : -1, under(event));
    wheeled = 0;
    if (moved || dialog.open || event.ctrlKey) event.preventDefault();
  });

  const pointers = new Map();
  let dragged = null;
  let pinched = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button === 1 || (event.button === 2 && !hasGrey())) return;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, event);
    const at = under(event);
    dragged = { pane: at?.pane, grading: hasGrey() && (view.windowing || event.shiftKey || event.button === 2) };
    pinched = pointers.size === 2 && at ? { apart: apart(), scale: lies(at.pane).scale * devicePixelRatio, at: middle(at) } : null;
  });
  const apart = () => {
    const [one, two] = [...pointers.values()];
    return Math.hypot(one.clientX - two.clientX, one.clientY - two.clientY) || 1;
  };
  const middle = ({ pane }) => {
    const edge = pane.room.getBoundingClientRect();
    const [one, two] = [...pointers.values()];
    return { pane, x: (one.clientX + two.clientX) / 2 - edge.left, y: (one.clientY + two.clientY) / 2 - edge.top };
  };
  stage.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before || !dragged) return;
    pointers.set(event.pointerId, event);
    if (pinched) {
      const wanted = (pinched.scale * apart()) / pinched.apart;
      const { fit, scale } = lies(pinched.at.pane);
      const steps = [...ZOOMS.filter((zoom) => zoom > fit), fit];
      const next = steps.reduce((best, zoom) => (Math.abs(Math.log(zoom / wanted)) < Math.abs(Math.log(best / wanted)) ? zoom : best));
      if (Math.abs(next - scale * devicePixelRatio) > 1e-6) zoomTo(next === fit ? null : next, pinched.at);
      return;
    }
    const [across, down] = [event.clientX - before.clientX, event.clientY - before.clientY];
    if (dragged.grading) regrade({ window: view.window + across, level: view.level + down });
    else move(across, down, dragged.pane);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      pinched = null;
      if (!pointers.size) dragged = null;
    });
  }
  stage.addEventListener("contextmenu", (event) => hasGrey() && event.preventDefault());
  stage.addEventListener("dblclick", () => regrade(AS_STORED));

  function large(on) {
    if (on === dialog.open) return;
    if (!on) {
      dialog.close();
      return;
    }
    document.body.append(dialog);
    fill(dialog, root);
    dialog.showModal();
    stage.focus({ focusVisible: false });
    draw();
  }

  function shrink() {
    home.append(root);
    dialog.remove();
    stage.focus({ focusVisible: false, preventScroll: true });
    draw();
  }

  new ResizeObserver(draw).observe(stage);
  addEventListener("resize", draw);
  box.append(root);
  show(images);
  return {
    show,
    key,
    large,
    isLarge: () => dialog.open,
    home: (next) => {
      home = next;
      if (!dialog.open) home.append(root);
    },
  };
}

// An SVG filter that shows 8-bit grey through a window: the pixels of a file beside a page may be shown, not read.
function grade(id) {
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
    made.append(...children);
    return made;
  };
  const channels = ["R", "G", "B"].map((name) => svg(`feFunc${name}`, { type: "linear", slope: 1, intercept: 0 }));
  const region = { id, x: 0, y: 0, width: 1, height: 1, "color-interpolation-filters": "sRGB" };
  const element = svg("svg", { class: "zoom-filter", width: 0, height: 0, "aria-hidden": "true" }, svg("filter", region, svg("feComponentTransfer", {}, ...channels)));
  const set = (window, level) => {
    for (const channel of channels) {
      channel.setAttribute("slope", String(255 / (window - 1)));
      channel.setAttribute("intercept", String(0.5 - (level - 0.5) / (window - 1)));
    }
  };
  return { id, element, set };
}

// Of an image that may not be read (a file beside a page, without a thumbnail): no. A lossy copy is only almost grey.
function looksGrey(img) {
  const side = 32;
  const pen = el("canvas", { width: side, height: side }).getContext("2d", { willReadFrequently: true });
  try {
    pen.drawImage(img, 0, 0, side, side);
    const { data: values } = pen.getImageData(0, 0, side, side);
    for (let at = 0; at < values.length; at += 4) {
      const colours = values.subarray(at, at + 3);
      if (Math.max(...colours) - Math.min(...colours) > 10) return false;
    }
    return true;
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return false;
  }
}
