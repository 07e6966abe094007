// A study that grows while it is looked at: counts and new series come in where they are; what is
// being viewed stays.
import { Live } from "./live.js";

const nav = document.querySelector("nav.series[data-grows]");
let isAsking = false;
let isBehind = false;

new Live({ study: told }, `study=${encodeURIComponent(nav.dataset.grows)}`, nav.dataset.seq);

async function told() {
  isBehind = true;
  if (isAsking) return;
  isAsking = true;
  try {
    while (isBehind) {
      isBehind = false;
      await refresh();
    }
  } finally {
    isAsking = false;
  }
}

async function refresh() {
  const opened = encodeURIComponent(nav.dataset.opened);
  const answer = await fetch(`${nav.dataset.address}&series=${opened}`, { headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  for (const card of holder.content.querySelectorAll(".card")) {
    const there = nav.querySelector(`[data-series="${CSS.escape(card.dataset.series)}"]`);
    if (!there) {
      card.classList.add("fresh");
      nav.append(card); // behind the others: nothing moves under the pointer
    } else if (there.textContent !== card.textContent) {
      there.querySelector("span").replaceWith(card.querySelector("span"));
      if (card.dataset.series === nav.dataset.opened)
        document.querySelector(".growing").hidden = false;
    }
  }
}
