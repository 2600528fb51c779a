// Draws boxes, tails, labels and marks into a canvas, in whatever view. Needs geometry.js.

const GROUND_COLOR = "#10141b";
const RING_COLOR = "#2b3340";
const RING_TEXT_COLOR = "#8793a5";
const EGO_COLOR = "#e8edf4";
const DARK = "#0a0c10";
const FONT = 'system-ui, "DejaVu Sans", sans-serif';
const RING_SPACINGS_M = [5, 10, 20, 50];
// The outline of the measuring car around its rear axle, [forward, left], and its nose.
const EGO_OUTLINE_M = [[3.33, 0.87], [3.33, -0.87], [-0.75, -0.87], [-0.75, 0.87], [3.33, 0.87]];
const EGO_NOSE_M = [[1.6, 0.87], [3.33, 0], [1.6, -0.87]];

/** A canvas's context at the screen's resolution, cleared, in units of CSS pixels; null while it is hidden. */
function prepareCanvas(canvas) {
  const { width, height } = canvas.getBoundingClientRect();
  if (!width || !height) return null;
  const ratio = window.devicePixelRatio || 1;
  const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.lineJoin = "round";
  return { context, width, height };
}

function strokePath(context, points) {
  context.beginPath();
  points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

/** Rings of equal distance and the ego vehicle. */
function drawGround(context, view) {
  context.fillStyle = GROUND_COLOR;
  context.fillRect(0, 0, view.width, view.height);
  const spacing = RING_SPACINGS_M.find((metres) => metres * view.pixelsPerMetre >= 44) ?? RING_SPACINGS_M.at(-1);
  const reach = (Math.hypot(view.width, view.height) + Math.hypot(view.middle[0] - view.width / 2, view.middle[1] - view.height / 2)) / view.pixelsPerMetre;
  context.lineWidth = 1;
  context.font = `11px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let radius = spacing; radius < reach; radius += spacing) {
    context.strokeStyle = RING_COLOR;
    context.beginPath();
    context.arc(view.middle[0], view.middle[1], radius * view.pixelsPerMetre, 0, 2 * Math.PI);
    context.stroke();
    const diagonal = radius * view.pixelsPerMetre * Math.SQRT1_2;
    context.fillStyle = RING_TEXT_COLOR;
    context.fillText(`${radius} m`, view.middle[0] + diagonal, view.middle[1] - diagonal);
  }
  drawEgo(context, view);
}

function drawEgo(context, view) {
  const toPixel = ([forward, left]) => [view.middle[0] - left * view.pixelsPerMetre, view.middle[1] - forward * view.pixelsPerMetre];
  context.strokeStyle = EGO_COLOR;
  context.lineWidth = 1.2;
  strokePath(context, EGO_OUTLINE_M.map(toPixel));
  context.fillStyle = "#e8edf440";
  context.fill();
  strokePath(context, EGO_NOSE_M.map(toPixel));
}

/**
 * One box: its edges, a tinted face, the heading line.
 * style: color, lineWidth, opacity, tint (0 to 1), dashed, outlined, face (corners of the tinted face).
 */
function drawBox(context, box, view, style) {
  const c = corners(box);
  const lines = BOX_EDGES.map(([from, to]) => view.line(c[from], c[to])).filter(Boolean);
  const heading = view.line(...headingLine(box));
  if (heading) lines.push(heading);
  if (!lines.length) return;
  context.save();
  context.globalAlpha = style.opacity;
  if (style.tint) fillFace(context, view.polygon(style.face.map((index) => c[index])), style);
  if (style.dashed) context.setLineDash([4, 3]);
  context.beginPath();
  for (const [[x0, y0], [x1, y1]] of lines) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  if (style.outlined) {
    context.strokeStyle = DARK;
    context.lineWidth = style.lineWidth + 2;
    context.stroke();
  }
  context.strokeStyle = style.color;
  context.lineWidth = style.lineWidth;
  context.stroke();
  context.restore();
}

function fillFace(context, polygon, style) {
  if (polygon.length < 3) return;
  context.save();
  context.globalAlpha = style.opacity * style.tint;
  context.fillStyle = style.color;
  context.beginPath();
  polygon.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.fill();
  context.restore();
}

/** A path over the ground, thinner towards its old end. */
function drawTail(context, points, view, color, lineWidth) {
  context.save();
  context.strokeStyle = color;
  context.lineCap = "round";
  for (let index = 1; index < points.length; index += 1) {
    const line = view.line(points[index - 1], points[index]);
    if (line) {
      context.lineWidth = Math.max(0.8, (lineWidth * index) / (points.length - 1));
      strokePath(context, line);
    }
  }
  context.restore();
}

/** The whole path of a selected track: solid behind it, dotted ahead, a dot a frame. */
function drawWholePath(context, points, current, view, color) {
  context.save();
  context.strokeStyle = context.fillStyle = color;
  context.lineWidth = 2;
  points.slice(1).forEach((point, index) => {
    const line = view.line(points[index], point);
    context.setLineDash(index + 1 > current ? [2, 4] : []);
    if (line) strokePath(context, line);
  });
  for (const point of points) {
    const line = view.line(point, point);
    if (line) {
      context.beginPath();
      context.arc(...line[0], 2.4, 0, 2 * Math.PI);
      context.fill();
    }
  }
  context.restore();
}

/** Places for labels: a label that would cover another one moves below its box or is left out. */
class LabelPlaces {
  constructor(context, view, size) {
    Object.assign(this, { context, view, size, taken: [] });
    context.font = `600 ${size}px ${FONT}`;
  }

  draw(text, rectangle, color, mustShow) {
    const { context, size, view } = this;
    const width = context.measureText(text).width + 6;
    const height = size + 4;
    const left = clamp((rectangle.left + rectangle.right - width) / 2, 0, Math.max(0, view.width - width));
    const rows = [rectangle.top - height - 2, rectangle.bottom + 2, rectangle.top - 2 * height - 3];
    const plates = rows.map((row) => ({ left, top: clamp(row, 0, Math.max(0, view.height - height)), width, height }));
    const plate = plates.find((candidate) => !this.taken.some((other) => overlap(candidate, other))) ?? (mustShow ? plates[0] : null);
    if (!plate) return;
    this.taken.push(plate);
    context.fillStyle = color;
    context.fillRect(plate.left, plate.top, width, height);
    context.fillStyle = isLight(color) ? DARK : "#ffffff";
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(text, plate.left + 3, plate.top + height / 2 + 0.5);
  }
}

function overlap(a, b) {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function isLight(color) {
  const [red, green, blue] = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 110;
}

/** The sign of an error at a point: each kind has a shape of its own, so that none is told by colour alone. */
function drawMark(context, kind, x, y, size = 6) {
  context.save();
  context.translate(x, y);
  context.setLineDash([]);
  for (const [color, width] of [[DARK, 5], [MARK_COLORS[kind], 2.2]]) {
    context.strokeStyle = color;
    context.lineWidth = width;
    MARK_SHAPES[kind](context, size);
  }
  context.restore();
}

const MARK_COLORS = { "switch": "#f0e442", miss: "#ffffff", "false-positive": "#ff8c5a" };
const MARK_SHAPES = {
  "false-positive": (context, size) => {
    strokePath(context, [[-size, -size], [size, size]]);
    strokePath(context, [[size, -size], [-size, size]]);
  },
  miss: (context, size) => {
    context.beginPath();
    context.arc(0, 0, size, 0, 2 * Math.PI);
    context.stroke();
  },
  "switch": (context, size) => {
    const wide = 1.3 * size;
    strokePath(context, [[-wide, -size / 2], [wide, -size / 2], [wide / 2, -1.2 * size]]);
    strokePath(context, [[wide, size / 2], [-wide, size / 2], [-wide / 2, 1.2 * size]]);
  },
};
