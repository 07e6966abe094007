// The report of what became of files: counted, the refused listed, all of it in a file to keep.

const LISTED = 200; // refusals that are shown: all are in the file
const MOST_STUDIES = 100;
const PAUSE = 2000; // milliseconds between looks at the studies that came

const harmless = (value) => (/^[=+\-@\t\r]/.test(value) ? `'${value}` : value);
const quoted = (value) => `"${harmless(String(value ?? "")).replaceAll('"', '""')}"`;

export class Report {
  #place;
  #studiesPlace;
  #texts;
  #all = [];
  #counts = new Map();
  #studies = new Set();
  #timer = 0;
  #isDrawn = false;
  #url = null;

  constructor(place, studiesPlace, texts) {
    this.#place = place;
    this.#studiesPlace = studiesPlace;
    this.#texts = texts;
    place.querySelector("a[download]").addEventListener("click", (event) => this.#save(event));
  }

  clear() {
    this.#all = [];
    this.#counts.clear();
    this.#studies.clear();
    this.#studiesPlace.replaceChildren();
    this.#place.querySelector("tbody").replaceChildren();
    this.#draw();
  }

  add(outcome) {
    this.#all.push(outcome);
    this.#counts.set(outcome.fate, (this.#counts.get(outcome.fate) ?? 0) + 1);
    if (outcome.fate === "refused") this.#list(outcome);
    if (outcome.study && !this.#studies.has(outcome.study)) {
      this.#studies.add(outcome.study);
      if (!this.#timer) this.#timer = setTimeout(() => this.#look(), PAUSE);
    }
    this.#draw();
  }

  finish() {
    if (this.#studies.size) this.#look();
  }

  async #look() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const wanted = [...this.#studies].slice(0, MOST_STUDIES);
    const query = wanted.map((study) => `study=${encodeURIComponent(study)}`).join("&");
    try {
      const answer = await fetch(`/upload/studies?${query}`);
      if (answer.ok) this.#studiesPlace.innerHTML = await answer.text();
    } catch {
      // The connection is lost: it is looked at again with the next study.
    }
  }

  #list({ name, reason }) {
    const table = this.#place.querySelector(".refusals");
    const body = table.querySelector("tbody");
    table.hidden = false;
    if (body.children.length >= LISTED) return;
    const row = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    row.append(head);
    row.insertCell().textContent = reason;
  }

  #draw() {
    if (this.#isDrawn) return;
    this.#isDrawn = true;
    requestAnimationFrame(() => {
      this.#isDrawn = false;
      this.#show();
    });
  }

  #show() {
    this.#place.hidden = !this.#all.length;
    for (const box of this.#place.querySelectorAll("[data-fate]")) {
      const count = this.#counts.get(box.dataset.fate) ?? 0;
      box.hidden = !count;
      box.querySelector("dd").textContent = count.toLocaleString(document.documentElement.lang);
    }
    const refused = this.#counts.get("refused") ?? 0;
    this.#place.querySelector(".refusals").hidden = !refused;
    const more = this.#place.querySelector(".more-refused");
    more.hidden = refused <= LISTED;
    more.textContent = this.#texts.more.replace("{count}", refused - LISTED);
  }

  // Made when it is asked for: it may be long.
  #save(event) {
    const labels = {};
    for (const box of this.#place.querySelectorAll("[data-fate]"))
      labels[box.dataset.fate] = box.querySelector("dt").textContent;
    const rows = this.#all.map((each) =>
      [each.name, each.size, labels[each.fate], each.reason, each.study].map(quoted).join(","),
    );
    const text = ["name,size,outcome,reason,study", ...rows, ""].join("\r\n");
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
    event.currentTarget.href = this.#url;
  }
}
