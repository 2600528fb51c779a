// The time line: lanes that count errors by frame, and below them a row per track. Needs scene.js and drawing.js.

const GUTTER_PX = 132;
const ROW_PX = 15;
const LANE_PX = 16;
const LANES = ["switch", "miss", "false-positive"];
const LANE_NAMES = { "switch": "switches", miss: "misses", "false-positive": "false positives" };

class Timeline {
  /** host: { frameCount, frame(), tracks(), events(), isSelected(track), colorOf(track), onPick(frame, track) } */
  constructor(host) {
    this.host = host;
    this.lanes = document.getElementById("lanes");
    this.rows = document.getElementById("rows");
    this.rowCanvas = document.getElementById("row-canvas");
    this.rows.addEventListener("scroll", () => this.drawRows());
    this.listen(this.lanes, () => null);
    this.listen(this.rowCanvas, (y) => this.host.tracks()[Math.floor((y + this.rows.scrollTop) / ROW_PX)] ?? null);
  }

  listen(canvas, trackAt) {
    const pick = (event) => {
      const bounds = canvas.getBoundingClientRect();
      const frame = event.clientX - bounds.left < GUTTER_PX ? null : this.frameAt(event.clientX - bounds.left, bounds.width);
      this.host.onPick(frame, event.type === "pointerdown" ? trackAt(event.clientY - bounds.top) : null);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pick(event);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && pick(event));
  }

  frameAt(x, width) {
    const share = (x - GUTTER_PX) / (width - GUTTER_PX - 8);
    return clamp(Math.floor(share * this.host.frameCount), 0, this.host.frameCount - 1);
  }

  /** Left border of a frame's column. */
  left(frame, width) {
    return GUTTER_PX + (frame / this.host.frameCount) * (width - GUTTER_PX - 8);
  }

  draw() {
    this.drawLanes();
    this.drawRows();
  }

  drawLanes() {
    const target = prepareCanvas(this.lanes);
    if (!target) return;
    const { context, width } = target;
    const events = this.host.events();
    LANES.forEach((kind, lane) => {
      const middleY = lane * LANE_PX + LANE_PX / 2;
      const counts = events[kind].map((list) => list.length);
      const most = Math.max(1, ...counts);
      drawMark(context, kind, 14, middleY, 4);
      context.fillStyle = "#9aa6b8";
      context.font = `11px ${FONT}`;
      context.textAlign = "left";
      context.textBaseline = "middle";
      context.fillText(`${LANE_NAMES[kind]} ${counts.reduce((a, b) => a + b, 0)}`, 26, middleY);
      context.fillStyle = MARK_COLORS[kind];
      counts.forEach((count, frame) => {
        const height = count && Math.max(2, (count / most) * (LANE_PX - 3));
        const x = this.left(frame, width);
        context.fillRect(x + 0.5, (lane + 1) * LANE_PX - height - 1, this.left(frame + 1, width) - x - 1, height);
      });
    });
    this.drawPlayhead(context, width, LANES.length * LANE_PX);
  }

  /** Make the scrolled area as high as all rows, and the canvas as high as those that show. */
  fitRows(tracks) {
    document.getElementById("rows-height").style.height = `${Math.max(tracks.length * ROW_PX, this.rows.clientHeight)}px`;
    this.rowCanvas.style.height = `${this.rows.clientHeight}px`;
  }

  drawRows() {
    const tracks = this.host.tracks();
    this.fitRows(tracks);
    const target = prepareCanvas(this.rowCanvas);
    if (!target) return;
    const { context, width, height } = target;
    const first = Math.floor(this.rows.scrollTop / ROW_PX);
    const last = Math.min(tracks.length, Math.ceil((this.rows.scrollTop + height) / ROW_PX));
    for (let row = first; row < last; row += 1) {
      this.drawRow(context, width, tracks[row], row * ROW_PX - this.rows.scrollTop);
    }
    this.drawPlayhead(context, width, height);
  }

  drawRow(context, width, track, top) {
    const selected = this.host.isSelected(track);
    if (selected) {
      context.fillStyle = "#2b3644";
      context.fillRect(0, top, width, ROW_PX);
    }
    context.fillStyle = selected ? "#ffffff" : "#9aa6b8";
    context.font = `${selected ? "600 " : ""}11px ${FONT}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(`${shortIdentity(track.id)}  ${track.className}`, 10, top + ROW_PX / 2, GUTTER_PX - 16);
    context.fillStyle = this.host.colorOf(track);
    track.frames.forEach((frame, index) => {
      const x = this.left(frame, width);
      const wrong = track.falsePositives.has(index);
      context.globalAlpha = track.judged && inFile({ path: track, index }) ? 1 : 0.4;
      context.fillRect(x, top + (wrong ? 6 : 3), this.left(frame + 1, width) - x - 0.5, ROW_PX - (wrong ? 12 : 6));
    });
    context.globalAlpha = 1;
    for (const index of track.switches) {
      const frame = track.frames[index];
      drawMark(context, "switch", (this.left(frame, width) + this.left(frame + 1, width)) / 2, top + ROW_PX / 2, 4);
    }
  }

  drawPlayhead(context, width, height) {
    const x = (this.left(this.host.frame(), width) + this.left(this.host.frame() + 1, width)) / 2;
    context.strokeStyle = "#ffffff";
    context.lineWidth = 1.5;
    strokePath(context, [[x, 0], [x, height]]);
  }

  /** Scroll so that a track's row shows. */
  reveal(track) {
    const tracks = this.host.tracks();
    const top = tracks.indexOf(track) * ROW_PX;
    if (top < 0) return;
    this.fitRows(tracks);
    if (top < this.rows.scrollTop || top + ROW_PX > this.rows.scrollTop + this.rows.clientHeight) {
      this.rows.scrollTop = top - this.rows.clientHeight / 2;
    }
  }
}

/** An identity as it is written at a box: whole, or the end of a long one. */
function shortIdentity(identity) {
  return identity.length <= 8 ? identity : `…${identity.slice(-4)}`;
}
