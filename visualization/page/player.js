// The page that plays a scene: what is shown, what is selected, and what keys and buttons do.
// Needs geometry.js, drawing.js and timeline.js.

const TAIL_S = 4;
const PREFETCHED_FRAMES = 8;
const DEFAULT_RANGE_M = 40;
const EVENT_KINDS = ["switch", "miss", "false-positive"];
const COLORINGS = ["identity", "class", "score"];
const LAYER_KEYS = { t: "tracks", w: "weak", a: "annotations", d: "detections", p: "tails", l: "labels", e: "events" };

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("scene-data").textContent);
const scene = readScene(data);
const state = {
  frame: 0,
  playing: false,
  selected: null,
  colorBy: "identity",
  minScore: 0,
  className: "",
  zoom: 1,
  pan: [0, 0],
  layers: { tracks: true, weak: true, annotations: false, detections: false, tails: true, labels: true, events: true },
};

/** The scene with boxes instead of rows, and for each frame what stands in it. */
function readScene(raw) {
  const frameCount = raw.frames.length;
  const perFrame = () => Array.from({ length: frameCount }, () => []);
  const read = {
    frames: raw.frames,
    tracks: raw.tracks.map((path) => readPath(path, raw, "track")),
    annotations: raw.annotations.map((path) => readPath(path, raw, "annotation")),
    detections: raw.detections?.map((frame) => frame.boxes.map((row, index) => looseDetection(row, frame.labels[index], raw))),
    tracksIn: perFrame(),
    annotationsIn: perFrame(),
    events: Object.fromEntries(EVENT_KINDS.map((kind) => [kind, perFrame()])),
  };
  read.tracks.sort((a, b) => Number(b.judged) - Number(a.judged) || a.frames[0] - b.frames[0]);
  for (const [paths, lists] of [[read.tracks, read.tracksIn], [read.annotations, read.annotationsIn]]) {
    paths.forEach((path) => path.frames.forEach((frame, index) => lists[frame].push({ path, index, box: path.boxes[index] })));
  }
  for (const track of read.tracks) {
    track.switches.forEach((frame) => read.events["switch"][frame].push(track));
    track.falsePositives.forEach((frame) => read.events["false-positive"][frame].push(track));
  }
  for (const annotation of read.annotations) annotation.misses.forEach((frame) => read.events.miss[frame].push(annotation));
  return read;
}

function readPath(raw, page, kind) {
  return {
    kind,
    id: raw.id,
    className: page.classes[raw.label] ?? "",
    label: raw.label,
    color: kind === "track" ? raw.color : page.colors.annotation,
    score: raw.score,
    judged: raw.judged ?? true,
    frames: raw.frames,
    boxes: raw.boxes.map(boxFromRow),
    queries: raw.queries ?? [],
    matches: raw.matches ?? [],
    falsePositives: new Set(raw.false_positives),
    switches: new Set(raw.switches),
    misses: new Set(raw.misses),
  };
}

function looseDetection(row, label, page) {
  return { path: { kind: "detection", className: page.classes[label], label, color: page.colors.detection }, box: boxFromRow(row) };
}

// ---------------------------------------------------------------------------------------------- what is shown

const ofChosenClass = (path) => !state.className || path.className === state.className;

function shownTracks(frame) {
  if (!state.layers.tracks) return [];
  return scene.tracksIn[frame].filter(({ path, box }) =>
    ofChosenClass(path) && box.score >= state.minScore && (state.layers.weak || path.judged));
}

function shownAnnotations(frame) {
  const events = state.layers.events ? new Set(scene.events.miss[frame]) : new Set();
  return scene.annotationsIn[frame].filter(({ path }) =>
    ofChosenClass(path) && (state.layers.annotations || events.has(path) || path === state.selected));
}

function shownDetections(frame) {
  if (!state.layers.detections || !scene.detections) return [];
  return scene.detections[frame].filter(({ path, box }) => ofChosenClass(path) && box.score >= state.minScore);
}

/** Rows of the time line: the tracks that the filters let through in any frame. */
function listedTracks() {
  return scene.tracks.filter((track) =>
    ofChosenClass(track) && (state.layers.weak || track.judged) && track.boxes.some((box) => box.score >= state.minScore));
}

function colorOf(path, score) {
  if (path.kind !== "track") return path.color;
  if (state.colorBy === "class") return data.colors.classes[path.label];
  if (state.colorBy === "score") return data.colors.scores[Math.round(clamp(score, 0, 1) * (data.colors.scores.length - 1))];
  return path.color;
}

// ---------------------------------------------------------------------------------------------- drawing

function styleOf(item, fromAbove) {
  const selected = item.path === state.selected;
  const face = fromAbove ? TOP_FACE : FRONT_FACE;
  const base = { color: colorOf(item.path, item.box.score), face, outlined: !fromAbove, dashed: false, tint: 0, opacity: 1, lineWidth: 1 };
  if (selected) return { ...base, lineWidth: 3.4, tint: 0.5, outlined: true };
  const dimmed = state.selected?.frames.includes(state.frame) ? 0.45 : 1;
  if (item.path.kind === "detection") return { ...base, dashed: true, outlined: false, opacity: 0.8 * dimmed };
  if (item.path.kind === "annotation") return { ...base, outlined: false, opacity: 0.85 * dimmed };
  if (!item.path.judged) return { ...base, outlined: false, opacity: 0.45 * dimmed };
  return { ...base, lineWidth: fromAbove ? 1.4 : 1.8, tint: 0.28, opacity: dimmed };
}

function drawItems(context, view, fromAbove) {
  const { frame } = state;
  const items = [...shownDetections(frame), ...shownAnnotations(frame), ...shownTracks(frame)];
  const visible = items.map((item) => ({ item, rectangle: screenRectangle(item.box, view) })).filter(({ rectangle }) => rectangle);
  const rank = ({ item }) => (item.path === state.selected ? 2 : item.path.kind === "track" ? 1 : 0);
  visible.sort((a, b) => rank(a) - rank(b) || view.distance(b.item.box.center) - view.distance(a.item.box.center));
  for (const { item } of visible) drawBox(context, item.box, view, styleOf(item, fromAbove));
  if (state.layers.labels) drawLabels(context, view, visible, fromAbove ? 10 : 11);
  if (state.layers.events) visible.forEach((entry) => drawMarks(context, entry));
  return visible;
}

function drawLabels(context, view, visible, size) {
  const places = new LabelPlaces(context, view, size);
  for (const { item, rectangle } of [...visible].reverse()) {
    const selected = item.path === state.selected;
    if (item.path.kind !== "detection" && (selected || (item.path.kind === "track" && item.path.judged))) {
      places.draw(shortIdentity(item.path.id), rectangle, colorOf(item.path, item.box.score), selected);
    }
  }
}

function drawMarks(context, { item, rectangle }) {
  const y = rectangle.top + Math.min(4, (rectangle.bottom - rectangle.top) / 2);
  for (const kind of EVENT_KINDS) {
    const hasMark = scene.events[kind][state.frame].includes(item.path);
    if (hasMark) drawMark(context, kind, kind === "switch" ? rectangle.right : rectangle.left, y, 4.5);
  }
}

function drawTails(context, view) {
  const oldest = scene.frames[state.frame].time - TAIL_S;
  for (const { path, index, box } of shownTracks(state.frame)) {
    const points = [];
    for (let past = index; past >= 0 && scene.frames[path.frames[past]].time >= oldest; past -= 1) points.unshift(groundPoint(path.boxes[past]));
    context.globalAlpha = path.judged ? 1 : 0.4;
    if (path !== state.selected) drawTail(context, points, view, colorOf(path, box.score), 2.4);
  }
  context.globalAlpha = 1;
}

function drawSelectedPath(context, view) {
  if (!state.selected) return;
  const current = state.selected.frames.filter((frame) => frame <= state.frame).length - 1;
  drawWholePath(context, state.selected.boxes.map(groundPoint), current, view, state.selected.color);
}

let hitBoxes = new Map();

function drawBirdsEye() {
  const canvas = byId("birds-eye");
  const target = prepareCanvas(canvas);
  if (!target) return;
  const { context, width, height } = target;
  const scale = (state.zoom * Math.min(width, height)) / (2 * DEFAULT_RANGE_M);
  const view = birdsEyeView(scene.frames[state.frame].ego, width, height, scale, state.pan);
  drawGround(context, view);
  if (state.layers.tails) drawTails(context, view);
  drawSelectedPath(context, view);
  hitBoxes.set(canvas, drawItems(context, view, true));
}

function drawCamera(panel) {
  const target = prepareCanvas(panel.canvas);
  const camera = scene.frames[state.frame].cameras.find(({ name }) => name === panel.name);
  if (!target) return;
  const { context, width, height } = target;
  const area = fitInto(width, height, camera ? camera.width / camera.height : 16 / 9);
  context.translate(area.left, area.top);
  context.beginPath();
  context.rect(0, 0, area.width, area.height);
  context.clip();
  drawPhoto(context, camera, area);
  if (!camera) return;
  const view = cameraView(camera, area.width, area.height);
  drawSelectedPath(context, view);
  const visible = drawItems(context, view, false);
  hitBoxes.set(panel.canvas, visible.map(({ item, rectangle }) => ({ item, rectangle: moved(rectangle, area) })));
}

/** The largest area of an aspect ratio in the middle of a panel. */
function fitInto(width, height, aspect) {
  const fitted = { width: Math.min(width, height * aspect), height: Math.min(height, width / aspect) };
  return { ...fitted, left: (width - fitted.width) / 2, top: (height - fitted.height) / 2 };
}

function moved(rectangle, area) {
  const { left, top } = area;
  return { left: rectangle.left + left, right: rectangle.right + left, top: rectangle.top + top, bottom: rectangle.bottom + top };
}

function drawPhoto(context, camera, area) {
  const photo = camera?.image && loadedPhoto(camera);
  if (photo?.complete && photo.naturalWidth) {
    context.drawImage(photo, 0, 0, area.width, area.height);
    return;
  }
  context.fillStyle = "#464646";
  context.fillRect(0, 0, area.width, area.height);
  context.fillStyle = "#bec4cd";
  context.font = `11px ${FONT}`;
  context.textAlign = "left";
  context.textBaseline = "bottom";
  const loading = photo && !photo.complete;
  context.fillText(loading ? "" : camera ? `no image: ${camera.file}` : "no image", 6, area.height - 4, area.width - 12);
}

const photos = new Map();

/** A camera's picture; asked for the first time it starts to load, and draws itself when it is there. */
function loadedPhoto(camera) {
  if (!photos.has(camera)) {
    const photo = new Image();
    photo.onload = photo.onerror = () => scene.frames[state.frame].cameras.includes(camera) && requestDraw();
    photo.src = camera.image;
    photos.set(camera, photo);
  }
  return photos.get(camera);
}

function prefetchPhotos() {
  for (const frame of scene.frames.slice(state.frame, state.frame + PREFETCHED_FRAMES)) {
    frame.cameras.filter((camera) => camera.image).forEach(loadedPhoto);
  }
}

let drawRequested = false;

function requestDraw() {
  if (drawRequested) return;
  drawRequested = true;
  requestAnimationFrame(() => {
    drawRequested = false;
    draw();
  });
}

function draw() {
  hitBoxes = new Map();
  drawBirdsEye();
  cameraPanels.forEach(drawCamera);
  timeline.draw();
  drawInspectorCurve();
  describe();
}

/** What the canvases show, in words and for scripts. */
function describe() {
  const frame = scene.frames[state.frame];
  const shown = shownTracks(state.frame);
  byId("clock").textContent = `frame ${state.frame + 1} of ${scene.frames.length} · ${frame.time.toFixed(1)} s · ${shown.length} tracks`;
  byId("scrub").value = state.frame;
  byId("scrub").setAttribute("aria-valuetext", `frame ${state.frame + 1}, ${frame.time.toFixed(1)} seconds`);
  byId("birds-eye").setAttribute("aria-label", `Bird's-eye view of frame ${state.frame + 1} with ${shown.length} tracks`);
  Object.assign(document.body.dataset, {
    frame: state.frame,
    playing: state.playing,
    selected: state.selected?.id ?? "",
    tracks: shown.length,
    annotations: shownAnnotations(state.frame).length,
    detections: shownDetections(state.frame).length,
  });
}

// ---------------------------------------------------------------------------------------------- moving in time

let playTimer = null;

function setFrame(frame) {
  state.frame = clamp(frame, 0, scene.frames.length - 1);
  prefetchPhotos();
  updateInspector();
  updateLink();
  requestDraw();
}

function setPlaying(playing) {
  state.playing = playing;
  clearTimeout(playTimer);
  byId("play").textContent = playing ? "Pause" : "Play";
  byId("play").setAttribute("aria-pressed", String(playing));
  if (playing && state.frame === scene.frames.length - 1) setFrame(0);
  if (playing) scheduleNextFrame();
  updateLink();
  requestDraw();
}

function scheduleNextFrame() {
  const gap = (scene.frames[state.frame + 1]?.time ?? 0) - scene.frames[state.frame].time;
  const seconds = clamp(gap, 0.02, 2) / Number(byId("speed").value);
  playTimer = setTimeout(() => {
    setFrame(state.frame + 1);
    if (state.frame === scene.frames.length - 1) setPlaying(false);
    else scheduleNextFrame();
  }, 1000 * seconds);
}

/** Go to the next (or previous) error of a kind; errors of one frame are visited one after the other. */
function goToEvent(kind, direction) {
  const list = scene.events[kind].flatMap((paths, frame) =>
    paths.filter(ofChosenClass).map((path) => ({ frame, path })));
  const here = list.findIndex(({ frame, path }) => frame === state.frame && path === state.selected);
  const target = here >= 0
    ? list[here + direction]
    : direction > 0 ? list.find(({ frame }) => frame >= state.frame) : list.findLast(({ frame }) => frame <= state.frame);
  if (!target) return;
  setPlaying(false);
  select(target.path);
  setFrame(target.frame);
}

// ---------------------------------------------------------------------------------------------- selection

function select(path) {
  state.selected = path;
  if (path?.kind === "track") timeline.reveal(path);
  updateInspector();
  updateLink();
  requestDraw();
}

/** The box under a point: of those that hold it the smallest on the screen. */
function boxAt(canvas, x, y) {
  const margin = 4;
  const area = ({ rectangle }) => (rectangle.right - rectangle.left) * (rectangle.bottom - rectangle.top);
  const hits = (hitBoxes.get(canvas) ?? []).filter(({ item, rectangle }) =>
    item.path.kind !== "detection" && x >= rectangle.left - margin && x <= rectangle.right + margin &&
    y >= rectangle.top - margin && y <= rectangle.bottom + margin);
  return hits.sort((a, b) => (a.item.path.kind === "track" ? 0 : 1) - (b.item.path.kind === "track" ? 0 : 1) || area(a) - area(b))[0]?.item.path ?? null;
}

function selectNeighbour(direction) {
  const tracks = listedTracks();
  const index = tracks.indexOf(state.selected);
  const next = tracks[index < 0 ? 0 : clamp(index + direction, 0, tracks.length - 1)];
  if (!next) return;
  select(next);
  if (!next.frames.includes(state.frame)) setFrame(next.frames[0]);
}

// ---------------------------------------------------------------------------------------------- inspector

function updateInspector() {
  const panel = byId("inspector");
  const path = state.selected;
  if (!path) {
    panel.replaceChildren(element("p", "hint", scene.tracks.length
      ? "Click a box or a row below to see a track: its path, its boxes in every camera, its numbers."
      : "This scene has no tracks."));
    return;
  }
  const title = element("div", "title");
  const swatch = element("span", "swatch");
  swatch.style.background = colorOf(path, path.score ?? 1);
  const name = element("h2");
  name.append(swatch, `${path.kind === "track" ? "Track" : "Annotation"} ${path.id}`);
  title.append(name, element("p", "", path.className));
  const list = element("dl");
  for (const [term, value] of inspectorRows(path)) {
    const pair = element("div");
    pair.append(element("dt", "", term), element("dd", "", value));
    list.append(pair);
  }
  panel.replaceChildren(title, list);
  if (path.kind === "track") {
    const figure = element("figure");
    const curve = element("canvas");
    curve.id = "score-curve";
    figure.append(curve, element("figcaption", "", "score by frame; × false positive"));
    panel.append(figure);
  }
}

function inspectorRows(path) {
  const index = path.frames.indexOf(state.frame);
  const rows = [["frames", `${path.frames[0] + 1} to ${path.frames.at(-1) + 1} (${path.frames.length} boxes)`]];
  if (path.kind === "track") {
    rows.push(["mean score", `${path.score.toFixed(2)}${path.judged ? "" : " (not judged)"}`]);
    if (data.judged) rows.push(["errors", `${path.switches.size} switches, ${path.falsePositives.size} false positives`]);
  } else {
    rows.push(["missed in", `${path.misses.size} frames`]);
  }
  if (index < 0) return [...rows, ["now", "not in this frame"]];
  return [...rows, ...boxRows(path, index)];
}

function boxRows(path, index) {
  const box = path.boxes[index];
  const ego = scene.frames[state.frame].ego;
  const rows = [
    ["distance", `${Math.hypot(box.center[0] - ego.position[0], box.center[1] - ego.position[1]).toFixed(1)} m`],
    ["speed", box.velocity.includes(null) ? "unknown" : `${(3.6 * Math.hypot(...box.velocity)).toFixed(0)} km/h`],
    ["heading", `${((180 / Math.PI) * wrapped(headingOf(box) - ego.yaw)).toFixed(0)}° to the car`],
    ["size, w × l × h", `${box.width.toFixed(1)} × ${box.length.toFixed(1)} × ${box.height.toFixed(1)} m`],
  ];
  if (path.kind === "track") {
    rows.push(["score", box.score.toFixed(2)]);
    if (path.queries.length) rows.push(["query", String(path.queries[index])]);
    if (path.matches.length) rows.push(["lies on", path.matches[index] ? shortIdentity(path.matches[index]) : "no annotation"]);
  }
  const cameras = scene.frames[state.frame].cameras.filter((camera) => seenBy(camera, box)).map(({ name }) => name.replace("CAM_", ""));
  if (scene.frames[state.frame].cameras.length) rows.push(["seen by", cameras.join(", ").toLowerCase().replaceAll("_", " ") || "no camera"]);
  return rows;
}

function seenBy(camera, box) {
  const view = cameraView(camera, camera.width, camera.height);
  const line = view.line(box.center, box.center);
  return Boolean(line) && line[0][0] >= 0 && line[0][1] >= 0 && line[0][0] <= view.width && line[0][1] <= view.height;
}

function wrapped(angle) {
  return Math.atan2(Math.sin(angle), Math.cos(angle));
}

function drawInspectorCurve() {
  const canvas = byId("score-curve");
  const target = canvas && prepareCanvas(canvas);
  if (!target) return;
  const { context, width, height } = target;
  const path = state.selected;
  const x = (frame) => 4 + (frame / Math.max(1, scene.frames.length - 1)) * (width - 8);
  const y = (score) => height - 6 - clamp(score, 0, 1) * (height - 12);
  context.strokeStyle = "#2b3644";
  for (const score of [0, 0.5, 1]) strokePath(context, [[0, y(score)], [width, y(score)]]);
  context.strokeStyle = path.color;
  context.lineWidth = 2;
  strokePath(context, path.frames.map((frame, index) => [x(frame), y(path.boxes[index].score)]));
  path.frames.forEach((frame, index) => path.falsePositives.has(frame) && drawMark(context, "false-positive", x(frame), y(path.boxes[index].score), 2.5));
  context.strokeStyle = "#ffffff";
  context.lineWidth = 1;
  strokePath(context, [[x(state.frame), 0], [x(state.frame), height]]);
}

function element(tag, className = "", text = "") {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
}

// ---------------------------------------------------------------------------------------------- links

/** `#time=9.9&track=12`, also `sample=<token>` and `annotation=<token>`: what a link can ask for. */
function followLink() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const track = wanted.has("track") ? scene.tracks.find(({ id }) => id === wanted.get("track")) : null;
  const annotation = wanted.has("annotation") ? scene.annotations.find(({ id }) => id === wanted.get("annotation")) : null;
  const path = track ?? annotation ?? null;
  const frame = frameOfLink(wanted) ?? path?.frames[0] ?? 0;
  state.selected = path;
  setFrame(frame);
  if (path?.kind === "track") timeline.reveal(path);
}

function frameOfLink(wanted) {
  if (wanted.has("sample")) {
    const frame = scene.frames.findIndex(({ token }) => token === wanted.get("sample"));
    if (frame >= 0) return frame;
  }
  const time = Number.parseFloat(wanted.get("time"));
  if (Number.isNaN(time)) return null;
  const gaps = scene.frames.map((frame) => Math.abs(frame.time - time));
  return gaps.indexOf(Math.min(...gaps));
}

function currentLink() {
  const wanted = new URLSearchParams({ time: scene.frames[state.frame].time.toFixed(2) });
  if (state.selected) wanted.set(state.selected.kind, state.selected.id);
  return `#${wanted}`;
}

function updateLink() {
  // While playing the address stays: browsers refuse to change it many times a second.
  if (!state.playing) history.replaceState(null, "", currentLink());
}

async function copyLink() {
  updateLink();
  const button = byId("copy-link");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "See the address bar";
  }
  setTimeout(() => { button.textContent = "Copy link"; }, 1500);
}

// ---------------------------------------------------------------------------------------------- controls

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
  if (!data.judged) return "This scene is not annotated: nothing is judged.";
  const points = Object.entries(data.operating_points).map(([name, score]) => `${name} ${score.toFixed(2)}`);
  return "A track and an annotation of the same class match below 2 m on the ground, as in the official tracking evaluation. " +
    `Judged are tracks whose mean score reaches the point of best MOTA of their class (${points.join(", ") || "any"}); weaker ones are drawn faint.`;
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
  frameCount: scene.frames.length,
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
