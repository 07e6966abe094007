// A recording in pieces: arrows lead to the earlier and the later one, as the links do.

const ways = { ArrowLeft: "earlier", ArrowRight: "later", PageUp: "earlier", PageDown: "later", Home: "first", End: "last" };

document.addEventListener("keydown", (event) => {
  const way = ways[event.key];
  if (!way || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, summary") || scrolls(event)) return;
  const link = document.querySelector(`[data-way="${way}"][href]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});

// Whether the paper itself still moves that way, as on a phone, where it is wider than the screen.
function scrolls({ key, target }) {
  const paper = target.closest(".paper");
  if (!paper || paper.scrollWidth <= paper.clientWidth) return false;
  const room = key === "ArrowLeft" ? paper.scrollLeft : paper.scrollWidth - paper.clientWidth - paper.scrollLeft;
  return ["ArrowLeft", "ArrowRight"].includes(key) && room > 1;
}

// Who walks by keyboard goes on from where they were.
document.addEventListener("htmx:afterSwap", () => {
  if (document.activeElement === document.body) document.querySelector(".paper")?.focus({ preventScroll: true });
});
