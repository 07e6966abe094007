// Keeps what is marked with data-follow as the server has it: when it says that something changed,
// the page is asked for again, and put in where it differs.

import { Live } from "./live.js";

const REST = 1000; // milliseconds between two refreshments, at least

for (const place of document.querySelectorAll("[data-follow]")) {
  let isAsking = false;
  let isStale = false;
  const hear = async () => {
    isStale = true;
    if (isAsking) return;
    isAsking = true;
    while (isStale) {
      isStale = false;
      await refresh(place).catch(() => {}); // what is told next brings what this did not
      await new Promise((done) => setTimeout(done, REST));
    }
    isAsking = false;
  };
  new Live({ [place.dataset.follow]: hear });
}

async function refresh(place) {
  const answer = await fetch(location.href, { headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  const made = new DOMParser().parseFromString(await answer.text(), "text/html").body;
  if (made.innerHTML === place.dataset.shown) return;
  place.dataset.shown = made.innerHTML;
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...place.querySelectorAll("details[open][id]")].map(({ id }) => id);
  place.replaceChildren(...made.childNodes);
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (focused) document.getElementById(focused)?.focus();
}
