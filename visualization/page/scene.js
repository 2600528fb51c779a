// The scene that the page plays, what is selected, and which of its boxes are shown. Needs geometry.js.

const EVENT_KINDS = ["switch", "miss", "false-positive"];
// By kind, the set of a path that holds the positions of the boxes it happened to.
const EVENT_SETS = { "switch": "switches", miss: "misses", "false-positive": "falsePositives" };

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
  layers: { tracks: true, weak: false, annotations: false, detections: false, tails: true, labels: true, events: true },
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
  for (const path of [...read.tracks, ...read.annotations]) {
    for (const kind of EVENT_KINDS) {
      for (const position of path[EVENT_SETS[kind]]) read.events[kind][path.frames[position]].push(path);
    }
  }
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
    gaps: new Set(raw.gaps),
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

const ofChosenClass = (path) => !state.className || path.className === state.className;

/** Whether a box stands in the file; the others were put into gaps by the evaluation, and show with the errors. */
const inFile = ({ path, index }) => !path.gaps?.has(index);

const hasEvent = ({ path, index }, kind) => Boolean(path[EVENT_SETS[kind]]?.has(index));

function shownTracks(frame) {
  if (!state.layers.tracks) return [];
  return scene.tracksIn[frame].filter((item) => {
    const { path, box } = item;
    return ofChosenClass(path) && box.score >= state.minScore && (state.layers.weak || path.judged) && (state.layers.events || inFile(item));
  });
}

function shownAnnotations(frame) {
  return scene.annotationsIn[frame].filter((item) =>
    ofChosenClass(item.path) && (state.layers.events || inFile(item)) &&
    (state.layers.annotations || item.path === state.selected || (state.layers.events && hasEvent(item, "miss"))));
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
