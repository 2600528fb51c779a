// The list of scenes: one row a scene, sorted by the column that is clicked.

const COLUMNS = [
  { key: "name", title: "Scene", text: true },
  { key: "location", title: "Place", text: true },
  { key: "frames", title: "Frames" },
  { key: "tracks", title: "Tracks" },
  { key: "amota", title: "AMOTA" },
  { key: "switches", title: "Switches" },
  { key: "misses", title: "Misses" },
  { key: "false_positives", title: "False positives" },
  { key: "mota", title: "MOTA" },
];

const index = JSON.parse(document.getElementById("index-data").textContent);
let sorting = { key: null, descending: false };

function cell(tag, text, className = "") {
  const created = document.createElement(tag);
  created.textContent = text;
  created.className = className;
  return created;
}

function shown(value, key) {
  if (value === null || value === undefined) return "–";
  return key.endsWith("mota") ? value.toFixed(3) : String(value);
}

function sceneRow(scene) {
  const row = document.createElement("tr");
  const picture = cell("td", "", "text");
  if (scene.thumbnail) picture.append(Object.assign(new Image(), { src: scene.thumbnail, alt: "", loading: "lazy" }));
  row.append(picture);
  for (const { key, text } of COLUMNS) {
    const entry = cell("td", key === "name" ? "" : shown(scene[key], key), text ? "text" : "");
    if (key === "name") entry.append(Object.assign(cell("a", scene.name), { href: scene.link }));
    row.append(entry);
  }
  return row;
}

function worstRow(track) {
  const row = document.createElement("tr");
  const name = cell("td", "", "text");
  name.append(Object.assign(cell("a", track.name), { href: track.link }));
  row.append(name, ...["scene", "class", "time", "kind", "errors"].map((key) => cell("td", track[key], "text")));
  return row;
}

function sortBy(key) {
  const isText = COLUMNS.find((column) => column.key === key).text;
  sorting = { key, descending: sorting.key === key ? !sorting.descending : !isText };
  const sign = sorting.descending ? -1 : 1;
  index.scenes.sort((a, b) => sign * (isText ? a[key].localeCompare(b[key]) : (a[key] ?? -Infinity) - (b[key] ?? -Infinity)));
  fill();
}

function fill() {
  document.getElementById("columns").replaceChildren(cell("th", ""), ...COLUMNS.map(({ key, title, text }) => {
    const head = cell("th", "", text ? "text" : "");
    head.scope = "col";
    head.ariaSort = sorting.key === key ? (sorting.descending ? "descending" : "ascending") : "none";
    const button = cell("button", title);
    button.type = "button";
    button.addEventListener("click", () => sortBy(key));
    head.append(button);
    return head;
  }));
  document.getElementById("scenes").replaceChildren(...index.scenes.map(sceneRow));
}

document.getElementById("title").textContent = index.title;
document.getElementById("facts").textContent = index.facts;
document.getElementById("metrics").append(...index.metrics.map(({ name, value }) => {
  const box = cell("div", "");
  box.append(cell("b", value), cell("span", name));
  return box;
}));
document.getElementById("worst").hidden = index.worst.length === 0;
document.getElementById("worst-tracks").append(...index.worst.map(worstRow));
fill();
