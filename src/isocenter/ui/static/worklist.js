// The list of studies: new ones are told of without moving what is there, and keys walk through it.
import { Live } from "./live.js";

const fresh = new Map(); // UIDs, by handles, of studies that arrived and are not in the list yet
let isMore = false; // others did, nobody knows how many

const list = () => document.querySelector(".of-list");
const table = () => document.querySelector("#studies .list tbody");
const rowOf = (handle) => document.querySelector(`#studies tr[data-of="${CSS.escape(handle)}"]`);

const first = list();
const live = new Live({ worklist: told }, first.dataset.filters, first.dataset.seq);

function told(what) {
  if (what.again) isMore = true;
  for (const each of what.rows ?? []) {
    const row = rowOf(each.of);
    if (row) update(row, each.row);
    else if (each.key > Number(list().dataset.newest)) fresh.set(each.of, each.study);
  }
  const shown = new Set((what.rows ?? []).map((each) => each.of));
  const isGone = (handle, uid) => what.changed?.includes(uid) && !shown.has(handle);
  for (const [handle, uid] of fresh) if (isGone(handle, uid)) fresh.delete(handle);
  for (const row of document.querySelectorAll("#studies tr[data-study]"))
    if (isGone(row.dataset.of, row.dataset.study)) row.classList.add("gone");
  announce();
}

// Only what differs: what has the focus, and pictures that are there, stay.
function update(row, html) {
  const holder = document.createElement("template");
  holder.innerHTML = html.trim();
  const cells = holder.content.firstElementChild.children;
  for (const [number, cell] of [...row.children].entries()) {
    if (cell.innerHTML !== cells[number].innerHTML && !cell.contains(document.activeElement))
      cell.innerHTML = cells[number].innerHTML;
  }
  row.classList.remove("gone", "fresh");
  void row.offsetWidth; // begins the animation anew
  row.classList.add("fresh");
}

function announce() {
  const button = document.querySelector(".arrivals");
  const count = fresh.size;
  button.hidden = !count && !isMore;
  const { one, many, some } = button.dataset;
  const text = isMore ? some : count === 1 ? one : many.replace("{count}", count);
  if (button.hidden || button.textContent === text) return;
  button.textContent = text;
  document.querySelector("#told").textContent = text;
}

async function show() {
  const wanted = [...fresh.keys()];
  await htmx.ajax("GET", `/?${list().dataset.filters}`, { target: "#studies", swap: "innerHTML" });
  const rows = wanted.map(rowOf).filter(Boolean);
  for (const row of rows) row.classList.add("fresh");
  (rows[0] ?? table())?.querySelector("a")?.focus();
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id !== "studies" || !list()) return;
  fresh.clear();
  isMore = false;
  document.querySelector("#told").textContent = "";
  live.at(list().dataset.filters, list().dataset.seq);
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-do=show-arrivals]")) show();
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = event.target.closest("input, select, textarea");
  if (event.key === "/" && !field) {
    document.querySelector("#filters input[name=name]").select();
    event.preventDefault();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    walk(event, field);
  }
});

function walk(event, field) {
  const links = [...document.querySelectorAll("#studies .list tbody tr :is(th, .more td) > a")];
  const here = links.findIndex((link) => link.closest("tr").contains(event.target));
  const down = event.key === "ArrowDown";
  if (here < 0) {
    // From the search field, down leads into the list; of other fields the keys are their own.
    if (!links.length || !down || (field && !field.matches("[type=search]"))) return;
    if (!field && event.target !== document.body) return;
    links[0].focus();
  } else if (here === 0 && !down) {
    document.querySelector("#filters input[name=name]").focus();
  } else {
    links[Math.min(links.length - 1, here + (down ? 1 : -1))].focus();
  }
  event.preventDefault();
}
