// Keeps what is marked with data-follow as the server has it: when it says that something changed,
// the page is asked for again, and only what differs is put in. So focus stays where it is.

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
      await new Promise((done) => setTimeout(done, Number(place.dataset.rest ?? REST)));
    }
    isAsking = false;
  };
  new Live({ [place.dataset.follow]: hear });
}

async function refresh(place) {
  const answer = await fetch(location.href, { headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  const made = new DOMParser().parseFromString(await answer.text(), "text/html");
  children(place, made.body);
}

function morph(old, next) {
  if (old.isEqualNode(next)) return;
  if (old.nodeType !== Node.ELEMENT_NODE || old.nodeName !== next.nodeName || old.id !== next.id)
    return old.replaceWith(next);
  const isOpened = ({ name }) => name === "open" && old.nodeName === "DETAILS"; // by the reader
  for (const each of [...old.attributes])
    if (!next.hasAttribute(each.name) && !isOpened(each)) old.removeAttribute(each.name);
  for (const { name, value } of next.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  children(old, next);
}

function children(old, next) {
  const known = new Map([...old.children].filter(({ id }) => id).map((each) => [each.id, each]));
  let at = old.firstChild;
  for (const each of [...next.childNodes]) {
    const alike = at && !at.id && at.nodeName === each.nodeName ? at : null;
    const same = each.id ? known.get(each.id) : alike;
    if (!same) {
      old.insertBefore(each, at);
    } else {
      if (same === at) at = at.nextSibling;
      else old.insertBefore(same, at);
      morph(same, each);
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}
