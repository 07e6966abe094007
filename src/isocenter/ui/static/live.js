// Hears what happens while a page is open. A page that nobody looks at lets go of its connection,
// for a browser has few, and hears what it missed when it is looked at again.

const FIRST = 1000; // milliseconds before another attempt, then twice as long each time
const LAST = 60_000;

export class Live {
  #address;
  #handlers;
  #source = null;
  #seq;
  #pause = FIRST;
  #timer = 0;

  // handlers: what to do with the events of each topic, by its name; parameters: what else the
  // address says; seq: up to which change the page knows.
  constructor(handlers, parameters = "", seq = "") {
    this.#handlers = handlers;
    this.#seq = seq;
    this.at(parameters);
    document.addEventListener("visibilitychange", () => this.#look());
    window.addEventListener("pagehide", () => this.#close());
    window.addEventListener("pageshow", () => this.#look());
    this.#look();
  }

  // Listen with other parameters.
  at(parameters, seq = this.#seq) {
    const address = new URLSearchParams(parameters);
    for (const topic of Object.keys(this.#handlers)) address.append("topic", topic);
    this.#seq = seq;
    if (this.#address === address.toString()) return;
    this.#address = address.toString();
    if (this.#source) {
      this.#close();
      this.#look();
    }
  }

  #look() {
    if (document.hidden) this.#close();
    else if (!this.#source) this.#open();
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #open() {
    const since = this.#seq === "" ? "" : `&seq=${encodeURIComponent(this.#seq)}`;
    const source = (this.#source = new EventSource(`/events?${this.#address}${since}`));
    source.onopen = () => (this.#pause = FIRST);
    source.onerror = () => {
      // The browser itself comes back, but not from a refusal.
      if (source.readyState !== EventSource.CLOSED || this.#source !== source) return;
      this.#close();
      this.#timer = setTimeout(() => this.#look(), this.#pause * (1 + Math.random()));
      this.#pause = Math.min(this.#pause * 2, LAST);
    };
    source.addEventListener("seen", (event) => (this.#seq = event.lastEventId));
    for (const [topic, handler] of Object.entries(this.#handlers)) {
      source.addEventListener(topic, (event) => {
        if (event.lastEventId) this.#seq = event.lastEventId;
        handler(JSON.parse(event.data));
      });
    }
  }
}
