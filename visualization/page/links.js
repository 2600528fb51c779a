// Links: the address tells what is shown, and shows what it tells. Needs scene.js.

/** `#time=9.9&track=12`, also `sample=<token>` and `annotation=<token>`: what a link can ask for. */
function followLink() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const track = wanted.has("track") ? scene.tracks.find(({ id }) => id === wanted.get("track")) : null;
  const annotation = wanted.has("annotation") ? scene.annotations.find(({ id }) => id === wanted.get("annotation")) : null;
  const path = track ?? annotation ?? null;
  const frame = frameOfLink(wanted) ?? path?.frames[0] ?? 0;
  state.selected = path;
  setFrame(frame);
  reveal(path);
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
