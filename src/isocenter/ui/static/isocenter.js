// What the pages do beyond links and forms.

for (const place of document.querySelectorAll("[data-viewer]")) {
  const { Viewer } = await import("./viewer.js");
  new Viewer(place).open();
}
