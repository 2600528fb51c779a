// Plays: moves through time by itself. Needs navigation.js.

let playTimer = null;

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
