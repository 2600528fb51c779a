// Connects buttons, keys and pointers, fills the page with what depends on the scene, and starts. Needs all the others.

const COLORINGS = ["identity", "class", "score"];
const LAYER_KEYS = { t: "tracks", w: "weak", a: "annotations", d: "detections", p: "tails", l: "labels", e: "events" };

function setLayer(name, shown) {
  state.layers[name] = shown;
  byId(`show-${name}`).checked = shown;
  requestDraw();
}

function setColoring(name) {
  state.colorBy = name;
  byId("color-by").value = name;
  updateInspector();
  requestDraw();
}

function zoomBy(factor) {
  const zoom = clamp(state.zoom * factor, 0.3, 12);
  state.pan = state.pan.map((shift) => (shift * zoom) / state.zoom);
  state.zoom = zoom;
  requestDraw();
}

function resetZoom() {
  Object.assign(state, { zoom: 1, pan: [0, 0] });
  requestDraw();
}

function enlarge(name) {
  const panel = byId("camera-panel");
  const figures = [...panel.children];
  const wasLarge = figures.some((figure) => figure.dataset.camera === name && figure.classList.contains("large"));
  figures.forEach((figure) => figure.classList.toggle("large", !wasLarge && figure.dataset.camera === name));
  panel.classList.toggle("enlarged", !wasLarge);
  requestDraw();
}

/** One canvas a camera that occurs in the scene, front row first. */
function buildCameraPanels() {
  const order = ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"];
  const names = [...new Set(scene.frames.flatMap((frame) => frame.cameras.map(({ name }) => name)))];
  const rank = (name) => (order.includes(name) ? order.indexOf(name) : order.length);
  names.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  return names.map((name, index) => {
    const figure = element("figure");
    figure.dataset.camera = name;
    const canvas = element("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Camera ${name}`);
    const button = element("button", "", name);
    button.type = "button";
    button.title = `Enlarge (${index + 1})`;
    button.addEventListener("click", () => enlarge(name));
    figure.append(canvas, button);
    byId("camera-panel").append(figure);
    listenForSelection(canvas);
    return { name, canvas };
  });
}

function listenForSelection(canvas) {
  let pressedAt = null;
  canvas.addEventListener("pointerdown", (event) => { pressedAt = [event.offsetX, event.offsetY]; });
  canvas.addEventListener("click", (event) => {
    const distance = pressedAt ? Math.hypot(event.offsetX - pressedAt[0], event.offsetY - pressedAt[1]) : 0;
    if (distance < 5) select(boxAt(canvas, event.offsetX, event.offsetY));
  });
}

function listenForZoom(canvas) {
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-0.0015 * event.deltaY));
  }, { passive: false });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons !== 1) return;
    state.pan = [state.pan[0] + event.movementX, state.pan[1] + event.movementY];
    requestDraw();
  });
}

function onKey(event) {
  const typing = event.target.matches?.('input[type="search"], select, textarea') || byId("help").open;
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const onControl = event.target.matches?.("button, input");
  const action = keyAction(event, onControl);
  if (!action) return;
  event.preventDefault();
  action();
}

function keyAction(event, onControl) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (onControl && [" ", "Enter"].includes(key)) return null;
  if (event.target.type === "range" && /^(Arrow|Home|End|Page)/.test(key)) return null;
  const direction = event.shiftKey ? -1 : 1;
  const actions = {
    " ": () => setPlaying(!state.playing),
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    Home: () => setFrame(0),
    End: () => setFrame(scene.frames.length - 1),
    ArrowUp: () => selectNeighbour(-1),
    ArrowDown: () => selectNeighbour(1),
    Escape: () => select(null),
    s: () => goToEvent("switch", direction),
    m: () => goToEvent("miss", direction),
    f: () => goToEvent("false-positive", direction),
    c: () => setColoring(COLORINGS[(COLORINGS.indexOf(state.colorBy) + 1) % COLORINGS.length]),
    "+": () => zoomBy(1.25),
    "=": () => zoomBy(1.25),
    "-": () => zoomBy(0.8),
    0: resetZoom,
    "?": () => byId("help").showModal(),
  };
  if (key in LAYER_KEYS && !byId(`show-${LAYER_KEYS[key]}`).disabled) {
    return () => setLayer(LAYER_KEYS[key], !state.layers[LAYER_KEYS[key]]);
  }
  const camera = cameraPanels[Number(key) - 1];
  return camera ? () => enlarge(camera.name) : actions[key];
}

function step(direction) {
  setPlaying(false);
  setFrame(state.frame + direction);
}

function connectControls() {
  const onClick = (id, action) => byId(id).addEventListener("click", action);
  onClick("play", () => setPlaying(!state.playing));
  onClick("to-start", () => setFrame(0));
  onClick("step-back", () => step(-1));
  onClick("step-forward", () => step(1));
  for (const kind of EVENT_KINDS) {
    onClick(`next-${kind}`, () => goToEvent(kind, 1));
    onClick(`previous-${kind}`, () => goToEvent(kind, -1));
  }
  onClick("zoom-in", () => zoomBy(1.25));
  onClick("zoom-out", () => zoomBy(0.8));
  onClick("zoom-reset", resetZoom);
  onClick("copy-link", copyLink);
  onClick("help-button", () => byId("help").showModal());
  byId("scrub").max = scene.frames.length - 1;
  byId("scrub").addEventListener("input", (event) => setFrame(Number(event.target.value)));
  for (const name of Object.keys(state.layers)) {
    byId(`show-${name}`).addEventListener("change", (event) => setLayer(name, event.target.checked));
  }
  byId("color-by").addEventListener("change", (event) => setColoring(event.target.value));
  byId("class-filter").addEventListener("change", (event) => { state.className = event.target.value; requestDraw(); });
  byId("min-score").addEventListener("input", (event) => {
    state.minScore = Number(event.target.value);
    byId("min-score-value").textContent = state.minScore.toFixed(2);
    requestDraw();
  });
  byId("find").addEventListener("change", (event) => {
    const track = scene.tracks.find(({ id }) => id === event.target.value.trim());
    if (track) {
      select(track);
      if (!track.frames.includes(state.frame)) setFrame(track.frames[0]);
    }
  });
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", followLink);
  new ResizeObserver(requestDraw).observe(document.body);
  for (const canvas of document.querySelectorAll("main canvas")) new ResizeObserver(requestDraw).observe(canvas);
}

/** What depends on the scene: names, lists, and controls that have nothing to control. */
function fillPage() {
  byId("scene-name").textContent = data.scene.name;
  byId("scene-facts").textContent = [data.scene.location, data.scene.description].filter(Boolean).join(" · ");
  byId("scene-facts").title = data.scene.description;
  byId("identities").append(...scene.tracks.map(({ id }) => Object.assign(document.createElement("option"), { value: id })));
  const classes = [...new Set(scene.tracks.map(({ className }) => className))].sort();
  byId("class-filter").append(...classes.map((name) => element("option", "", name)));
  const counts = Object.fromEntries(EVENT_KINDS.map((kind) => [kind, scene.events[kind].flat().length]));
  for (const kind of EVENT_KINDS) {
    for (const id of [`next-${kind}`, `previous-${kind}`]) byId(id).disabled = !counts[kind];
  }
  byId("show-detections").disabled = !scene.detections;
  byId("show-annotations").disabled = !scene.annotations.length;
  byId("show-events").disabled = !data.judged;
  byId("show-weak").disabled = scene.tracks.every(({ judged }) => judged);
  document.body.classList.toggle("no-images", !scene.frames.some((frame) => frame.cameras.some(({ image }) => image)));
  byId("judgement").textContent = judgementText();
  fillLegend();
}

function judgementText() {
  if (!data.judged) return `This scene is not annotated: nothing is judged. Tracks below a mean score of ${data.default_score} are hidden, and drawn faint with W.`;
  const points = Object.entries(data.operating_points).map(([name, score]) => `${name} ${score.toFixed(2)}`);
  return "Errors are those of the official tracking evaluation: a track and an annotation of the same class match below 2 m on the ground. " +
    `Tracks count whose mean score reaches the point of best MOTA of their class (${points.join(", ") || "none does"}); others are hidden, and drawn faint with W. ` +
    "Dashed boxes stand in no file: the evaluation puts them into the gaps of tracks and annotations, and counts them.";
}

function fillLegend() {
  const entries = [["switch", "identity switch"], ["miss", "missed object"], ["false-positive", "false positive"]];
  for (const [kind, text] of data.judged ? entries : []) {
    const item = element("li");
    const canvas = element("canvas");
    Object.assign(canvas, { width: 36, height: 28 });
    const context = canvas.getContext("2d");
    context.scale(2, 2);
    drawMark(context, kind, 9, 7, 4);
    item.append(canvas, text);
    byId("legend").append(item);
  }
  byId("legend").append(element("li", "", "tinted face and short line: the front"));
}

const timeline = new Timeline({
  get frameCount() { return scene.frames.length; },
  frame: () => state.frame,
  tracks: listedTracks,
  events: () => scene.events,
  isSelected: (track) => track === state.selected,
  colorOf: (track) => colorOf(track, track.score),
  onPick(frame, track) {
    if (track) select(track);
    if (frame !== null) setFrame(frame);
  },
});
const cameraPanels = buildCameraPanels();
fillPage();
connectControls();
listenForSelection(byId("birds-eye"));
listenForZoom(byId("birds-eye"));
followLink();
