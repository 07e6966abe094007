"""Pages for a browser that need nothing else: a still or cine with a slider, or many pictures.

What comes from the data set is text of the page and nothing else: it is escaped, and the only
script that may run is ours, by its digest (CSP Level 3, 2.3.1).
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape

from isocenter.imaging.pages import Page

_STYLE = """
:root { color-scheme: dark; }
body { margin: 0; background: #101418; color: #e8eef4; font: 16px/1.4 system-ui, sans-serif; }
main { display: grid; justify-items: center; gap: .75rem; padding: 1rem; }
header { display: flex; justify-content: space-between; gap: 2rem; width: min(100%, 60rem); }
header p { margin: 0; white-space: pre-line; }
header p:last-child { text-align: right; }
figure { margin: 0; }
figure img { display: block; width: min(60rem, 95vw); height: 72vh; object-fit: contain; }
figure img[hidden] { display: none; }
form { display: flex; gap: .75rem; align-items: center; width: min(100%, 40rem); }
form input { flex: 1; }
button { font: inherit; padding: .25rem .9rem; }
.many { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: 1rem;
  padding: 1rem; }
.many img { width: 100%; height: 12rem; }
.many figcaption { overflow-wrap: anywhere; font-size: .8rem; }
"""
_SCRIPT = """
"use strict";
const frames = [...document.querySelectorAll("figure img")];
const slider = document.querySelector("form input");
const play = document.querySelector("form button");
const told = document.querySelector("form output");
let timer = 0;
function show(number) {
  frames.forEach((frame, index) => { frame.hidden = index !== number; });
  slider.value = String(number);
  told.textContent = frames[number].alt;
}
function stop() {
  clearTimeout(timer);
  timer = 0;
  play.textContent = "Play";
}
function next() {
  const number = (Number(slider.value) + 1) % frames.length;
  show(number);
  timer = setTimeout(next, Number(frames[number].dataset.delay));
}
if (slider) {
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  play.addEventListener("click", () => {
    if (timer) { stop(); return; }
    play.textContent = "Pause";
    timer = setTimeout(next, Number(frames[Number(slider.value)].dataset.delay));
  });
  document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
}
"""
_DIGEST = b64encode(sha256(_SCRIPT.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{_DIGEST}'"
)


def written(pages: Iterable[Page], media_type: str, title: str) -> Iterator[bytes]:
    """Give a page that shows a still, or cine with a slider, piece by piece."""
    yield _head(title)
    yield b"<main>\n"
    number, first = -1, None
    for number, page in enumerate(pages):
        if first is None:
            first = page
            yield _lines(page)
        delay = round(1000 * page.delay)
        hidden = " hidden" if number else ""
        alt = f"Frame {page.frame} of {page.count}"
        yield _image(page, media_type, f'alt="{alt}" data-delay="{delay}"{hidden}')
    yield b"</figure>\n"
    if number > 0 and first is not None:
        yield (
            '<form><button type="button">Play</button>'
            f'<input type="range" aria-label="Frame" min="0" max="{number}" value="0">'
            f"<output>Frame {first.frame} of {first.count}</output></form>\n"
        ).encode()
    yield b"</main>\n" + _foot()


def contact_sheet(
    pictures: Iterable[tuple[str, Page]], media_type: str, title: str
) -> Iterator[bytes]:
    """Give a page of many pictures with what stands below each, piece by piece."""
    yield _head(title)
    yield b'<main class="many">\n'
    for name, page in pictures:
        yield b"<figure>" + _image(page, media_type, f'alt="{_safe(name)}"')
        caption = " · ".join((name, *page.left, *page.right))
        yield f"<figcaption>{_safe(caption)}</figcaption></figure>\n".encode()
    yield b"</main>\n" + _foot()


def _head(title: str) -> bytes:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_safe(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
    ).encode()


def _foot() -> bytes:
    return f"<script>{_SCRIPT}</script>\n</body>\n</html>\n".encode()


def _image(page: Page, media_type: str, attributes: str) -> bytes:
    data = b64encode(page.picture)
    return b'<img %s src="data:%s;base64,%s">\n' % (attributes.encode(), media_type.encode(), data)


def _lines(page: Page) -> bytes:
    """Give what is told of all frames, and begin the figure."""
    left = "\n".join(map(_safe, page.left))
    right = "\n".join(_safe(line) for line in page.right if not line.startswith("Frame "))
    return f"<header><p>{left}</p><p>{right}</p></header>\n<figure>\n".encode()


def _safe(text: str) -> str:
    """Escape what the page would obey; leave out what no page may hold."""
    return escape("".join(each for each in text if each.isprintable()), quote=True)
