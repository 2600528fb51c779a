// What the doctor found: an entry a finding, and the contact sheets.

const doctor = JSON.parse(document.getElementById("doctor-data").textContent);

function element(tag, className, ...children) {
  const created = document.createElement(tag);
  created.className = className;
  created.append(...children);
  return created;
}

function findingEntry(finding) {
  const heading = element("h2", "", element("span", `badge ${finding.severity}`, finding.severity), finding.what);
  const facts = element("p", "faint", `${finding.check}, ${finding.count}`);
  const example = element("p", "", `For example ${finding.example}`);
  const sample = finding.sample && !finding.where.includes(finding.sample) ? `, sample ${finding.sample}` : "";
  const where = element("p", "faint token", finding.where + sample);
  const entry = element("article", "finding", heading, facts, example, where, element("p", "advice", finding.advice));
  if (finding.picture) entry.append(Object.assign(new Image(), { src: finding.picture, alt: finding.example }));
  return entry;
}

function sheetEntry(sheet) {
  const image = Object.assign(new Image(), { src: sheet.path, alt: sheet.title, loading: "lazy" });
  const link = Object.assign(element("a", "", image), { href: sheet.path });
  return element("figure", "", link, element("figcaption", "faint", sheet.title));
}

document.getElementById("title").textContent = doctor.title;
document.getElementById("facts").textContent = doctor.facts;
document.getElementById("findings").append(...doctor.findings.map(findingEntry));
const sheets = document.getElementById("sheets");
sheets.hidden = doctor.sheets.length === 0;
sheets.append(...doctor.sheets.map(sheetEntry));
document.body.dataset.ready = "1";
