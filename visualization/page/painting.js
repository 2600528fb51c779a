// Paints the frame that is shown: the view from above, the cameras, marks and labels.
// Needs scene.js, drawing.js, timeline.js and inspector.js.

const TAIL_S = 4;
const PREFETCHED_FRAMES = 8;

function styleOf(item, fromAbove) {
  const selected = item.path === state.selected;
  const face = fromAbove ? TOP_FACE : FRONT_FACE;
  const base = { color: colorOf(item.path, item.box.score), face, outlined: !fromAbove, dashed: !inFile(item), tint: 0, opacity: 1, lineWidth: 1 };
  if (selected) return { ...base, lineWidth: 3.4, tint: 0.5, outlined: true };
  const dimmed = state.selected?.frames.includes(state.frame) ? 0.45 : 1;
  if (item.path.kind === "detection") return { ...base, dashed: true, outlined: false, opacity: 0.8 * dimmed };
  if (item.path.kind === "annotation") return { ...base, outlined: false, opacity: 0.85 * dimmed };
  if (!inFile(item)) return { ...base, outlined: false, opacity: 0.8 * dimmed };
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
    if (item.path.kind !== "detection" && (selected || (item.path.kind === "track" && item.path.judged && inFile(item)))) {
      places.draw(shortIdentity(item.path.id), rectangle, colorOf(item.path, item.box.score), selected);
    }
  }
}

function drawMarks(context, { item, rectangle }) {
  const y = rectangle.top + Math.min(4, (rectangle.bottom - rectangle.top) / 2);
  for (const kind of EVENT_KINDS) {
    if (hasEvent(item, kind)) drawMark(context, kind, kind === "switch" ? rectangle.right : rectangle.left, y, 4.5);
  }
}

function drawTails(context, view) {
  const oldest = scene.frames[state.frame].time - TAIL_S;
  for (const { path, index, box } of shownTracks(state.frame)) {
    const points = [];
    for (let past = index; past >= 0 && scene.frames[path.frames[past]].time >= oldest; past -= 1) {
      if (inFile({ path, index: past })) points.unshift(groundPoint(path.boxes[past]));
    }
    context.globalAlpha = path.judged ? 1 : 0.4;
    if (path !== state.selected) drawTail(context, points, view, colorOf(path, box.score), 2.4);
  }
  context.globalAlpha = 1;
}

function drawSelectedPath(context, view) {
  const path = state.selected;
  if (!path) return;
  const positions = path.frames.map((_, index) => index).filter((index) => inFile({ path, index }));
  const current = positions.filter((index) => path.frames[index] <= state.frame).length - 1;
  drawWholePath(context, positions.map((index) => groundPoint(path.boxes[index])), current, view, path.color);
}

let hitBoxes = new Map();

function drawBirdsEye() {
  const canvas = byId("birds-eye");
  const target = prepareCanvas(canvas);
  if (!target) return;
  const { context, width, height } = target;
  const scale = (state.zoom * Math.min(width, height)) / (2 * data.view_range);
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
  const shown = shownTracks(state.frame).filter(inFile);
  byId("clock").textContent = `frame ${state.frame + 1} of ${scene.frames.length} · ${frame.time.toFixed(1)} s · ${shown.length} tracks`;
  byId("scrub").value = state.frame;
  byId("scrub").setAttribute("aria-valuetext", `frame ${state.frame + 1}, ${frame.time.toFixed(1)} seconds`);
  byId("birds-eye").setAttribute("aria-label", `Bird's-eye view of frame ${state.frame + 1} with ${shown.length} tracks`);
  Object.assign(document.body.dataset, {
    frame: state.frame,
    playing: state.playing,
    selected: state.selected?.id ?? "",
    tracks: shown.length,
    annotations: shownAnnotations(state.frame).filter(inFile).length,
    detections: shownDetections(state.frame).length,
  });
}
