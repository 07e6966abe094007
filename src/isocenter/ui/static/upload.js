// Sends files one by one, a few at a time. Of a folder only names are held: a file's bytes go from
// the disk to the network without us.
import { Report } from "./uploaded.js";

const AT_ONCE = 4; // a browser has six connections to a server
const ATTEMPTS = 4; // of a file that breaks the connection while the server can be reached
const LONGEST_WAIT = 30_000;
const DIRECTORY = "DICOMDIR"; // names files that are met anyway

const form = document.querySelector("#upload");
const texts = form.dataset;
const section = document.querySelector("#sending");
const report = new Report(document.querySelector("#report"), document.querySelector("#uploaded"), texts);
const sleep = (time, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, time);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    window.addEventListener("online", () => (clearTimeout(timer), resolve()), { once: true });
  });

class Sending {
  #queue = [];
  #next = 0;
  #walking = 0;
  #working = 0;
  #waiting = 0;
  #done = 0;
  #current = new Map(); // names and how far they are
  #stop = new AbortController();
  #isDrawn = false;
  #why = "";

  get isOver() {
    return !this.#working && !this.#walking;
  }

  async add(found) {
    this.#walking += 1;
    try {
      for await (const item of found) {
        if (this.#stop.signal.aborted) return;
        this.#queue.push(item);
        if (this.#working < AT_ONCE) this.#work();
        this.#draw();
      }
    } finally {
      this.#walking -= 1;
      this.#finish();
    }
  }

  cancel() {
    this.#stop.abort();
    for (const item of this.#queue.splice(this.#next)) report.add({ name: item.name, fate: "not_sent" });
    this.#finish();
  }

  async #work() {
    this.#working += 1;
    while (this.#next < this.#queue.length && !this.#stop.signal.aborted) {
      const item = this.#queue[this.#next];
      this.#queue[this.#next++] = undefined;
      await this.#take(item);
      this.#done += 1;
      this.#draw();
    }
    this.#working -= 1;
    this.#finish();
  }

  async #take(item) {
    const { name } = item;
    let file;
    try {
      file = await item.file();
    } catch {
      report.add({ name, fate: "refused", reason: texts.unreadable });
      return;
    }
    this.#current.set(name, 0);
    try {
      await this.#send(name, file);
    } finally {
      this.#current.delete(name);
    }
  }

  // Until it is there: a connection that is lost comes back, a server that is busy has time again.
  async #send(name, file) {
    let broken = 0;
    for (let wait = 1000; !this.#stop.signal.aborted; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      const answer = await this.#attempt(name, file);
      if (answer.status === 200 && answer.isWhole) return;
      if (this.#stop.signal.aborted) break;
      const isBusy = [408, 429, 502, 503, 504].includes(answer.status);
      if (!isBusy && answer.status !== 0 && answer.status !== 200) {
        const reason = texts.answered.replace("{status}", answer.status);
        report.add({ name, size: file.size, fate: "refused", reason });
        return;
      }
      if (!isBusy && !(await readable(file))) {
        report.add({ name, size: file.size, fate: "refused", reason: texts.unreadable });
        return;
      }
      if (!isBusy && (await reachable()) && ++broken >= ATTEMPTS) {
        report.add({ name, size: file.size, fate: "not_sent", reason: texts.unsent });
        return;
      }
      await this.#wait(isBusy ? texts.busy : texts.broken, answer.after || wait);
    }
    report.add({ name, size: file.size, fate: "not_sent" });
  }

  async #wait(why, time) {
    this.#waiting += 1;
    this.#why = why;
    this.#draw();
    await sleep(time, this.#stop.signal);
    this.#waiting -= 1;
    this.#draw();
  }

  #attempt(name, file) {
    return new Promise((resolve) => {
      const request = new XMLHttpRequest();
      let read = 0;
      let stop = null;
      const end = (isWhole) => {
        this.#stop.signal.removeEventListener("abort", stop);
        const after = 1000 * Number(request.getResponseHeader("retry-after") || 0);
        resolve({ status: request.status, isWhole, after });
      };
      const lines = () => {
        if (request.status !== 200) return;
        const last = request.responseText.lastIndexOf("\n") + 1;
        for (const line of request.responseText.slice(read, last).split("\n"))
          if (line) report.add(JSON.parse(line));
        read = last;
      };
      stop = () => request.abort();
      this.#stop.signal.addEventListener("abort", stop);
      request.upload.onprogress = (event) => {
        this.#current.set(name, event.total ? event.loaded / event.total : 0);
        this.#draw();
      };
      request.onprogress = lines;
      request.onload = () => (lines(), end(true));
      request.onerror = request.onabort = request.ontimeout = () => end(false);
      request.open("POST", `/upload/file?name=${encodeURIComponent(name)}`);
      request.setRequestHeader("content-type", "application/octet-stream");
      request.send(file);
    });
  }

  #finish() {
    if (this.isOver) report.finish();
    this.#draw();
  }

  // At most once for each picture of the screen.
  #draw() {
    if (this.#isDrawn) return;
    this.#isDrawn = true;
    requestAnimationFrame(() => {
      this.#isDrawn = false;
      this.#show();
    });
  }

  #show() {
    const isCancelled = this.#stop.signal.aborted;
    const isStuck = this.#waiting > 0 && this.#waiting === this.#working;
    const state = isCancelled ? "cancelled" : this.isOver ? "done" : isStuck ? "waiting" : "sending";
    const count = this.#queue.length;
    section.hidden = false;
    section.dataset.state = state;
    section.querySelector("[data-do=cancel]").hidden = this.isOver || isCancelled;
    const told = section.querySelector(".state");
    const text = state === "waiting" ? this.#why : texts[state];
    if (told.textContent !== text) told.textContent = text;
    section.querySelector(".counted").textContent = texts.of
      .replace("{done}", this.#done.toLocaleString(document.documentElement.lang))
      .replace("{count}", count.toLocaleString(document.documentElement.lang));
    const all = section.querySelector("progress.all");
    all.max = Math.max(count, 1);
    all.value = this.#done + [...this.#current.values()].reduce((sum, part) => sum + part, 0);
    this.#list();
  }

  #list() {
    const list = section.querySelector(".files");
    const names = [...this.#current.keys()];
    while (list.children.length > names.length) list.lastElementChild.remove();
    while (list.children.length < names.length) {
      const entry = document.createElement("li");
      entry.append(document.createElement("span"), document.createElement("progress"));
      list.append(entry);
    }
    for (const [number, name] of names.entries()) {
      const [label, bar] = list.children[number].children;
      if (label.textContent !== name) label.textContent = name;
      bar.setAttribute("aria-label", name);
      bar.value = this.#current.get(name);
    }
  }
}

async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

async function reachable() {
  try {
    return (await fetch("/health/live", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

async function* chosen(files) {
  const isFolder = [...files].some((file) => file.webkitRelativePath);
  for (const file of files) {
    if (isFolder && file.name.toUpperCase() === DIRECTORY) continue;
    yield { name: file.webkitRelativePath || file.name, file: async () => file };
  }
}

async function* dropped(entries, isFolder = false) {
  for (const entry of entries) {
    if (entry.isFile) {
      if (isFolder && entry.name.toUpperCase() === DIRECTORY) continue;
      const file = () => new Promise((resolve, reject) => entry.file(resolve, reject));
      yield { name: entry.fullPath.replace(/^\//, ""), file };
      continue;
    }
    const reader = entry.createReader();
    // A hundred at a time, and nothing after the last.
    while (true) {
      let some;
      try {
        some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      } catch {
        const unreadable = { name: entry.fullPath.replace(/^\//, ""), file: () => Promise.reject() };
        yield unreadable;
        break;
      }
      if (!some.length) break;
      yield* dropped(some, true);
    }
  }
}

let sending = null;

function begin(found) {
  if (!sending || sending.isOver) {
    sending = new Sending();
    report.clear();
  }
  sending.add(found);
}

for (const each of document.querySelectorAll(".by-script")) each.hidden = false;
form.querySelector("button").hidden = true;
for (const input of form.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    if (!input.files.length) return;
    begin(chosen([...input.files]));
    input.value = "";
  });
}
form.addEventListener("submit", (event) => event.preventDefault());
section.querySelector("[data-do=cancel]").addEventListener("click", () => sending?.cancel());

for (const type of ["dragenter", "dragover"]) {
  window.addEventListener(type, (event) => {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    form.classList.add("over");
  });
}
window.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) form.classList.remove("over");
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  // Only now are they to be had: once we return to the browser they are gone.
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length) begin(dropped(entries));
});
window.addEventListener("beforeunload", (event) => {
  if (!sending || sending.isOver) return;
  event.preventDefault();
  event.returnValue = texts.leaving;
});
