// Follows a run: frames come over a WebSocket and join the scene, the oldest go. Needs all the others but playback.js.

const KEPT_FRAMES = 200;
const DROPPED_AT_ONCE = 50;
const RETRY_MS = 1000;
const SHOWN_LINES = 4;

/** To play is to follow the newest frame; paused, one looks at what has just been. */
function setPlaying(playing) {
  state.playing = playing;
  byId("play").textContent = playing ? "Pause" : "Follow";
  byId("play").setAttribute("aria-pressed", String(playing));
  if (playing) setFrame(scene.frames.length - 1);
  updateLink();
  requestDraw();
}

function addFrame({ frame, tracks }) {
  if (frame.cameras.some(({ name }) => !cameraPanels.some((panel) => panel.name === name))) {
    location.reload(); // another rig: the page is built anew
    return;
  }
  scene.frames.push(frame);
  for (const lists of [scene.tracksIn, scene.annotationsIn, ...Object.values(scene.events)]) lists.push([]);
  tracks.forEach((raw) => addBox(raw, scene.frames.length - 1));
  if (scene.frames.length >= KEPT_FRAMES + DROPPED_AT_ONCE) dropOldest(DROPPED_AT_ONCE);
  byId("scrub").max = scene.frames.length - 1;
  if (state.playing) setFrame(scene.frames.length - 1);
  else requestDraw();
}

/** Put a box of the newest frame to the path of its identity. */
function addBox(raw, frame) {
  const added = readPath({ ...raw, frames: [frame] }, data, "track");
  const known = scene.tracks.find(({ id, label }) => id === added.id && label === added.label);
  if (known) {
    for (const list of ["frames", "boxes", "queries", "matches"]) known[list].push(...added[list]);
    known.score = known.boxes.reduce((sum, box) => sum + box.score, 0) / known.boxes.length;
    known.judged = known.score >= data.default_score;
  } else {
    scene.tracks.push(added);
    addClass(added.className);
  }
  const path = known ?? added;
  scene.tracksIn[frame].push({ path, index: path.frames.length - 1, box: added.boxes[0] });
}

function addClass(name) {
  const names = [...byId("class-filter").options].map(({ value }) => value);
  if (!names.includes(name)) byId("class-filter").append(element("option", "", name));
}

function dropOldest(count) {
  scene.frames.splice(0, count).forEach(({ cameras }) => cameras.forEach((camera) => photos.delete(camera)));
  for (const lists of [scene.annotationsIn, ...Object.values(scene.events)]) lists.splice(0, count);
  for (const path of scene.tracks) {
    const gone = path.frames.filter((frame) => frame < count).length;
    for (const list of ["frames", "boxes", "queries", "matches"]) path[list].splice(0, gone);
    path.frames = path.frames.map((frame) => frame - count);
  }
  scene.tracks = scene.tracks.filter(({ frames }) => frames.length);
  scene.tracksIn = scene.frames.map(() => []);
  for (const path of scene.tracks) {
    path.frames.forEach((frame, index) => scene.tracksIn[frame].push({ path, index, box: path.boxes[index] }));
  }
  if (!scene.tracks.includes(state.selected)) state.selected = null;
  state.frame = Math.max(0, state.frame - count);
}

function showStatus({ latency_ms: latency, dropped, lines }) {
  byId("scene-facts").textContent = `live · ${latency.toFixed(0)} ms from image to track · ${dropped} steps dropped`;
  byId("legend").querySelectorAll(".said").forEach((line) => line.remove());
  byId("legend").append(...lines.slice(-SHOWN_LINES).map((line) => element("li", "said", line)));
  document.body.dataset.lines = lines.length;
}

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream${location.search}`);
  socket.onopen = () => { document.body.dataset.connection = "open"; };
  socket.onmessage = ({ data: text }) => {
    const message = JSON.parse(text);
    if (message.session !== data.session) location.reload(); // the run was started anew
    addFrame(message);
    showStatus(message.status);
  };
  socket.onclose = () => {
    document.body.dataset.connection = "closed";
    byId("scene-facts").textContent = "no connection; trying again";
    setTimeout(connect, RETRY_MS);
  };
}

document.body.classList.add("live");
byId("show-weak").disabled = false;
for (const control of [byId("scrub"), byId("timeline")]) control.addEventListener("pointerdown", () => setPlaying(false));
setPlaying(true);
connect();
