// The quick look: the frames of a series as pictures that the server renders, one at a time, each
// with the window the reader chose. What is no image is shown as what it is.

const AHEAD = 4; // frames that are asked for before they are shown
const FASTEST = 1000 / 60;
const USUAL = 1000 / 15; // milliseconds a frame is shown where nothing says how long

export class Viewer {
  constructor(place) {
    this.place = place;
    this.screen = place.querySelector(".screen");
    this.picture = place.querySelector(".picture");
    this.slider = place.querySelector(".slider");
    this.frames = [];
    this.at = 0;
    this.window = null; // centre and width, once they are the reader's
    this.kept = null; // what the instance says of them
    this.zoom = 1;
    this.moved = [0, 0];
    this.interval = USUAL;
    this.timer = null;
    this.waiting = false;
  }

  async open() {
    const { place } = this;
    const answer = await fetch(place.dataset.images);
    if (!answer.ok) return this.tell(place.dataset.failed);
    for (const each of await answer.json())
      for (let frame = 1; frame <= (each.kind === "image" ? each.frames : 1); frame++)
        this.frames.push({ ...each, frame });
    if (!this.frames.length) return this.tell(place.dataset.none);
    this.slider.max = this.frames.length;
    this.listen();
    this.show(0);
  }

  listen() {
    const { place, screen } = this;
    this.slider.addEventListener("input", () => this.show(this.slider.value - 1));
    place.addEventListener("click", (event) => {
      const wanted = event.target.closest("[data-do]");
      if (wanted) this.act(wanted.dataset.do);
    });
    place.addEventListener("keydown", (event) => this.press(event));
    screen.addEventListener("wheel", (event) => this.turn(event), { passive: false });
    screen.addEventListener("pointerdown", (event) => this.drag(event));
    screen.addEventListener("dblclick", () => this.act("reset"));
    this.picture.draggable = false;
    this.picture.addEventListener("error", () => this.failed());
  }

  // --- what is shown

  show(at) {
    this.at = Math.max(0, Math.min(this.frames.length - 1, at));
    const shown = this.frames[this.at];
    const { dataset } = this.place;
    dataset.kind = shown.kind;
    this.slider.value = this.at + 1;
    this.slider.hidden = this.frames.length < 2;
    this.place.querySelector(".place").textContent = dataset.imageOf
      .replace("{number}", this.at + 1)
      .replace("{count}", this.frames.length);
    const attributes = this.place.querySelector(".attributes");
    if (attributes) attributes.href = `${dataset.pages}/instances/${encodeURIComponent(shown.uid)}/attributes`;
    const recording = this.place.querySelector(".recording");
    if (recording) {
      recording.hidden = shown.kind !== "waveform";
      recording.href = `${dataset.pages}/instances/${encodeURIComponent(shown.uid)}/waveform`;
    }
    if (shown.kind === "image") this.draw();
    else this.embed(shown);
  }

  draw() {
    this.clear();
    this.picture.hidden = false;
    this.picture.alt = this.place.querySelector(".place").textContent;
    this.picture.src = this.address(this.frames[this.at]);
    for (let ahead = 1; ahead <= AHEAD && this.at + ahead < this.frames.length; ahead++)
      if (this.frames[this.at + ahead].kind === "image")
        new Image().src = this.address(this.frames[this.at + ahead]);
  }

  address(shown) {
    const path = `${this.place.dataset.series}/instances/${encodeURIComponent(shown.uid)}`;
    const asked = this.window ? `?window=${this.window.map((each) => +each.toPrecision(6))},linear` : "";
    return `${path}/frames/${shown.frame}/rendered${asked}`;
  }

  embed(shown) {
    this.clear();
    const path = `${this.place.dataset.series}/instances/${encodeURIComponent(shown.uid)}`;
    if (shown.kind === "card") return this.tell(this.place.dataset.none, `${path}/thumbnail`);
    if (shown.kind === "waveform") return this.unroll(`${path}/rendered`);
    const element = document.createElement(shown.kind === "video" ? "video" : "iframe");
    element.className = "embedded";
    element.src = `${path}/rendered`;
    if (shown.kind === "video") {
      element.controls = true;
      element.poster = `${path}/thumbnail?viewport=800,800`;
      element.addEventListener("error", () => this.failed());
    } else element.title = this.place.getAttribute("aria-label");
    this.screen.append(element);
  }

  // A recording on paper, which scrolls where it is wider than the screen.
  unroll(address) {
    const paper = document.createElement("div");
    paper.className = "embedded paper";
    const drawing = Object.assign(new Image(), { src: address, alt: this.place.dataset.waveform });
    drawing.addEventListener("error", () => this.failed());
    paper.append(drawing);
    this.screen.append(paper);
  }

  clear() {
    this.picture.hidden = true;
    for (const each of this.screen.querySelectorAll(".embedded")) each.remove();
  }

  tell(text, picture) {
    this.clear();
    const told = document.createElement("div");
    told.className = "embedded told";
    if (picture) told.append(Object.assign(new Image(), { src: picture, alt: "" }));
    const words = document.createElement("p");
    words.textContent = text;
    told.append(words);
    this.screen.append(told);
  }

  failed() {
    this.stop();
    this.tell(this.place.dataset.failed);
  }

  // --- what a reader does

  act(name) {
    const acts = {
      play: () => (this.timer ? this.stop() : this.play()),
      larger: () => this.scale(1.25),
      smaller: () => this.scale(0.8),
      brighter: () => this.adjust(0, -0.1),
      darker: () => this.adjust(0, 0.1),
      harder: () => this.adjust(-0.2, 0),
      softer: () => this.adjust(0.25, 0),
      reset: () => this.reset(),
    };
    acts[name]?.();
  }

  press(event) {
    if (event.target.closest("input, video, iframe, .paper") || event.ctrlKey || event.altKey || event.metaKey) return;
    const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10 };
    const keys = { "+": "larger", "-": "smaller", r: "reset", R: "reset" };
    if (event.key in steps) this.show(this.at + steps[event.key]);
    else if (event.key === "Home") this.show(0);
    else if (event.key === "End") this.show(this.frames.length - 1);
    else if (event.key in keys) this.act(keys[event.key]);
    else if (event.key === " " && !event.target.closest("button, a")) this.act("play");
    else return;
    event.preventDefault();
  }

  turn(event) {
    if (event.target.closest(".paper")) return; // which scrolls by itself
    event.preventDefault();
    if (event.ctrlKey) this.scale(event.deltaY < 0 ? 1.1 : 1 / 1.1);
    else this.show(this.at + Math.sign(event.deltaY));
  }

  drag(event) {
    if (event.button || event.target.closest(".embedded")) return;
    this.screen.setPointerCapture(event.pointerId);
    let [x, y] = [event.clientX, event.clientY];
    const move = async (moved) => {
      const [across, down] = [moved.clientX - x, moved.clientY - y];
      [x, y] = [moved.clientX, moved.clientY];
      if (moved.shiftKey || moved.pointerType === "touch") this.move(across, down);
      else await this.adjust(across / 200, down / 200);
    };
    this.screen.addEventListener("pointermove", move);
    const end = () => this.screen.removeEventListener("pointermove", move);
    this.screen.addEventListener("pointerup", end, { once: true });
    this.screen.addEventListener("pointercancel", end, { once: true });
  }

  scale(factor) {
    this.zoom = Math.max(0.2, Math.min(30, this.zoom * factor));
    this.transform();
  }

  move(across, down) {
    this.moved = [this.moved[0] + across, this.moved[1] + down];
    this.transform();
  }

  transform() {
    const [across, down] = this.moved;
    this.picture.style.transform = `translate(${across}px, ${down}px) scale(${this.zoom})`;
    this.picture.style.imageRendering = this.zoom > 3 ? "pixelated" : "auto";
  }

  reset() {
    [this.window, this.zoom, this.moved] = [null, 1, [0, 0]];
    this.transform();
    this.tellWindow();
    this.draw();
  }

  // Widen the window, and lift its centre, by parts of its width.
  async adjust(wider, higher) {
    if (this.frames[this.at].kind !== "image") return;
    const [centre, width] = this.window ?? (this.kept ??= await this.windowOf(this.frames[this.at]));
    this.window = [centre + higher * width, Math.max(1, width * (1 + wider))];
    this.tellWindow();
    if (this.waiting) return; // the next picture has the newest window
    this.waiting = true;
    await new Promise((done) => requestAnimationFrame(done));
    this.waiting = false;
    this.draw();
  }

  tellWindow() {
    const told = this.window?.map((each) => Math.round(each)).join(" / ") ?? "";
    this.place.querySelector(".window").textContent = told && `C / W ${told}`;
  }

  // What the instance says of its window; where nothing does, all that its bits can hold.
  async windowOf(shown) {
    const asked = "includefield=00281050,00281051,00280101,00280103,00281053,00281052,52009229,52009230";
    const path = `${this.place.dataset.series}/instances/${encodeURIComponent(shown.uid)}/metadata`;
    const answer = await fetch(`${path}?${asked}`, { headers: { accept: "application/dicom+json" } });
    const [model] = answer.ok ? await answer.json() : [{}];
    const first = (item, tag) => item?.[tag]?.Value?.[0];
    const shared = first(model, "52009229");
    const own = model?.["52009230"]?.Value?.[shown.frame - 1];
    for (const item of [first(own, "00289132"), first(shared, "00289132"), model]) {
      const [centre, width] = [first(item, "00281050"), first(item, "00281051")];
      if (Number.isFinite(centre) && Number.isFinite(width)) return [centre, width];
    }
    const span = 2 ** (first(model, "00280101") ?? 8);
    const slope = first(model, "00281053") ?? 1;
    const centre = (first(model, "00280103") ? 0 : span / 2) * slope + (first(model, "00281052") ?? 0);
    return [centre, span * slope];
  }

  // --- cine

  async play() {
    this.place.querySelector('[data-do="play"]').setAttribute("aria-pressed", "true");
    this.interval = await this.intervalOf(this.frames[this.at]);
    const step = async () => {
      const began = performance.now();
      this.show((this.at + 1) % this.frames.length);
      await this.picture.decode().catch(() => undefined);
      if (this.timer) this.timer = setTimeout(step, Math.max(0, this.interval - (performance.now() - began)));
    };
    this.timer = setTimeout(step, this.interval);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.place.querySelector('[data-do="play"]').setAttribute("aria-pressed", "false");
  }

  async intervalOf(shown) {
    const asked = "includefield=00181063,00180040,00082144";
    const path = `${this.place.dataset.series}/instances/${encodeURIComponent(shown.uid)}/metadata`;
    const answer = await fetch(`${path}?${asked}`, { headers: { accept: "application/dicom+json" } });
    const [model] = answer.ok ? await answer.json() : [{}];
    const first = (tag) => Number(model?.[tag]?.Value?.[0]) || 0;
    const rate = first("00082144") || first("00180040");
    return Math.max(FASTEST, first("00181063") || (rate ? 1000 / rate : USUAL));
  }
}
