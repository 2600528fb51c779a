// The panel that tells of the selected track or annotation. Needs scene.js and drawing.js.

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
  name.append(swatch, `${path.kind === "track" ? "Track" : "Annotation"} ${shortIdentity(path.id)}`);
  name.title = path.id;
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
  const rows = [["frames", `${path.frames[0] + 1} to ${path.frames.at(-1) + 1} (${path.frames.length - path.gaps.size} boxes)`]];
  if (path.gaps.size) rows.push(["gaps", `${path.gaps.size} boxes put in by the evaluation`]);
  if (path.kind === "track") {
    rows.push(["mean score", `${path.score.toFixed(2)}${path.judged ? "" : " (too low to count)"}`]);
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
    rows.push(inFile({ path, index }) ? ["score", box.score.toFixed(2)] : ["box", "in a gap, not in the file"]);
    if (path.queries[index] != null) rows.push(["query", String(path.queries[index])]);
    if (data.judged) rows.push(["lies on", path.matches[index] ? shortIdentity(path.matches[index]) : "no annotation"]);
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
  strokePath(context, path.frames.map((frame, index) => [x(frame), y(path.boxes[index].score)]).filter((_, index) => inFile({ path, index })));
  path.frames.forEach((frame, index) => path.falsePositives.has(index) && drawMark(context, "false-positive", x(frame), y(path.boxes[index].score), 2.5));
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
