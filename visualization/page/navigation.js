// Moves from frame to frame and from error to error, and selects. Needs scene.js and painting.js.

function setFrame(frame) {
  state.frame = clamp(frame, 0, scene.frames.length - 1);
  prefetchPhotos();
  updateInspector();
  updateLink();
  requestDraw();
}

/** Go to the next (or previous) error of a kind; errors of one frame are visited one after the other. */
function goToEvent(kind, direction) {
  const list = scene.events[kind].flatMap((paths, frame) =>
    [...new Set(paths)].filter(ofChosenClass).map((path) => ({ frame, path })));
  const here = list.findIndex(({ frame, path }) => frame === state.frame && path === state.selected);
  const target = here >= 0
    ? list[here + direction]
    : direction > 0 ? list.find(({ frame }) => frame >= state.frame) : list.findLast(({ frame }) => frame <= state.frame);
  if (!target) return;
  setPlaying(false);
  select(target.path);
  setFrame(target.frame);
}

function select(path) {
  state.selected = path;
  reveal(path);
  updateInspector();
  updateLink();
  requestDraw();
}

/** Bring a path into view that is looked for: its row, and its boxes where they are hidden for a low score. */
function reveal(path) {
  if (path?.kind !== "track") return;
  if (!path.judged) setLayer("weak", true);
  timeline.reveal(path);
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
