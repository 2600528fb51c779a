// Boxes and views: where a point of the scene lands in a camera's image or in the bird's-eye view.
// Poses are rows of numbers; points are [x, y, z] in metres, in the scene's coordinates (global, moved to its start).

const NEAR_PLANE_M = 0.2;
// The front face's four corners, then the rear's, each as signs of (forward, left, up).
const CORNER_SIGNS = [
  [1, 1, 1], [1, -1, 1], [1, -1, -1], [1, 1, -1],
  [-1, 1, 1], [-1, -1, 1], [-1, -1, -1], [-1, 1, -1],
];
const BOX_EDGES = [
  [0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7],
];
const FRONT_FACE = [0, 1, 2, 3];
const TOP_FACE = [0, 1, 5, 4];

/** A box from its row of numbers (see page_data.py). */
function boxFromRow(row) {
  const [x, y, z, width, length, height, qw, qx, qy, qz, vx, vy, score] = row;
  return { center: [x, y, z], width, length, height, rotation: rotationMatrix(qw, qx, qy, qz), velocity: [vx, vy], score };
}

/** Rows of the matrix that turns as the unit quaternion does. */
function rotationMatrix(w, x, y, z) {
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
}

/** The eight corners of a box; worked out once. */
function corners(box) {
  if (!box.corners) {
    const half = [box.length / 2, box.width / 2, box.height / 2];
    box.corners = CORNER_SIGNS.map((signs) =>
      box.rotation.map((row, axis) =>
        box.center[axis] + row[0] * signs[0] * half[0] + row[1] * signs[1] * half[1] + row[2] * signs[2] * half[2]));
  }
  return box.corners;
}

/** The line on the ground from a box's middle to its front. */
function headingLine(box) {
  const c = corners(box);
  const front = middle(c[2], c[3]);
  return [middle(front, middle(c[6], c[7])), front];
}

function middle(a, b) {
  return a.map((value, axis) => (value + b[axis]) / 2);
}

function groundPoint(box) {
  return [box.center[0], box.center[1], box.center[2] - box.height / 2];
}

function headingOf(box) {
  return Math.atan2(box.rotation[1][0], box.rotation[0][0]);
}

/** A camera's image of `width` x `height` pixels. `line` and `polygon` cut at the near plane. */
function cameraView(camera, width, height) {
  const [fx, , cx, , fy, cy] = camera.intrinsic;
  const [scaleX, scaleY] = [width / camera.width, height / camera.height];
  const skew = camera.intrinsic[1];
  const toCamera = (point) => camera.pose.map((row) => row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + row[3]);
  const toPixel = ([x, y, z]) => [scaleX * ((fx * x + skew * y) / z + cx), scaleY * ((fy * y) / z + cy)];
  return {
    width,
    height,
    line(start, end) {
      const clipped = clipLine(toCamera(start), toCamera(end));
      return clipped && clipped.map(toPixel);
    },
    polygon(points) {
      return clipPolygon(points.map(toCamera)).map(toPixel);
    },
    distance(point) {
      return Math.hypot(...toCamera(point));
    },
  };
}

function clipLine(start, end) {
  const startBehind = start[2] < NEAR_PLANE_M;
  const endBehind = end[2] < NEAR_PLANE_M;
  if (startBehind && endBehind) return null;
  if (startBehind) return [atNearPlane(start, end), end];
  if (endBehind) return [start, atNearPlane(start, end)];
  return [start, end];
}

function atNearPlane(a, b) {
  const share = (NEAR_PLANE_M - a[2]) / (b[2] - a[2]);
  return a.map((value, axis) => value + share * (b[axis] - value));
}

function clipPolygon(points) {
  const kept = [];
  points.forEach((here, index) => {
    const next = points[(index + 1) % points.length];
    const behind = here[2] < NEAR_PLANE_M;
    if (!behind) kept.push(here);
    if (behind !== next[2] < NEAR_PLANE_M) kept.push(atNearPlane(here, next));
  });
  return kept;
}

/** The view from above an ego vehicle that drives upwards, moved by `pan` pixels. */
function birdsEyeView(ego, width, height, pixelsPerMetre, pan) {
  const [cos, sin] = [Math.cos(ego.yaw), Math.sin(ego.yaw)];
  const toPixel = (point) => {
    const [dx, dy] = [point[0] - ego.position[0], point[1] - ego.position[1]];
    const [forward, left] = [cos * dx + sin * dy, cos * dy - sin * dx];
    return [width / 2 + pan[0] - pixelsPerMetre * left, height / 2 + pan[1] - pixelsPerMetre * forward];
  };
  return {
    width,
    height,
    line: (start, end) => [toPixel(start), toPixel(end)],
    polygon: (points) => points.map(toPixel),
    distance: (point) => -point[2],
    middle: [width / 2 + pan[0], height / 2 + pan[1]],
    pixelsPerMetre,
  };
}

/** The smallest upright rectangle around a box in a view, cut to the view; null where nothing of it shows. */
function screenRectangle(box, view) {
  const c = corners(box);
  const rectangle = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (const [from, to] of BOX_EDGES) {
    for (const [x, y] of view.line(c[from], c[to]) ?? []) {
      rectangle.left = Math.min(rectangle.left, x);
      rectangle.top = Math.min(rectangle.top, y);
      rectangle.right = Math.max(rectangle.right, x);
      rectangle.bottom = Math.max(rectangle.bottom, y);
    }
  }
  if (rectangle.right < 0 || rectangle.bottom < 0 || rectangle.left > view.width || rectangle.top > view.height) return null;
  if (rectangle.left === Infinity) return null;
  return {
    left: Math.max(rectangle.left, 0),
    top: Math.max(rectangle.top, 0),
    right: Math.min(rectangle.right, view.width),
    bottom: Math.min(rectangle.bottom, view.height),
  };
}
