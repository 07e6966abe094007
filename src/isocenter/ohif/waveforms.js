// What OHIF lacks: a viewport for waveforms. It shows our page of the recording, in a frame.
//
// This is an extension as OHIF takes them, handed over in window.config. It has no build step and no
// React of its own: the one element it makes is written as React 18 has them.

(() => {
  const ID = "@isocenter/extension-waveforms";
  const NAME = "waveform";
  const { prefix, sopClasses } = window.isocenter;

  const place = (...parts) => parts.map((part) => `/${encodeURIComponent(part)}`).join("");

  const addresses = ({ StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID }) => {
    const path = ["studies", StudyInstanceUID, "series", SeriesInstanceUID, "instances", SOPInstanceUID];
    const services = `${prefix}/dicom-web${place(...path)}`;
    return {
      // Our pages stand at the root of a host only; below a prefix there is the drawing.
      page: prefix ? `${services}/rendered?accept=image/svg%2Bxml` : `${place(...path)}/waveform?alone=yes`,
      thumbnail: `${services}/thumbnail?viewport=256,256`,
    };
  };

  const displaySetOf = (instance) => {
    const { page, thumbnail } = addresses(instance);
    return {
      displaySetInstanceUID: `isocenter-${instance.SOPInstanceUID}`,
      SOPClassHandlerId: `${ID}.sopClassHandlerModule.${NAME}`,
      SOPClassUID: instance.SOPClassUID,
      SOPInstanceUID: instance.SOPInstanceUID,
      SeriesInstanceUID: instance.SeriesInstanceUID,
      StudyInstanceUID: instance.StudyInstanceUID,
      SeriesDate: instance.SeriesDate,
      SeriesTime: instance.SeriesTime,
      SeriesNumber: instance.SeriesNumber,
      SeriesDescription: instance.SeriesDescription || "",
      label: instance.SeriesDescription || instance.Modality,
      Modality: instance.Modality,
      instances: [instance],
      instance,
      numInstances: 1,
      numImageFrames: 0,
      isDerivedDisplaySet: true, // made of no images: nothing is to be fetched as one
      isLoaded: true,
      referencedImages: null,
      measurements: null,
      supportsWindowLevel: false,
      thumbnailSrc: thumbnail,
      waveformPage: page,
    };
  };

  const element = (type, props) => ({
    $$typeof: Symbol.for("react.element"),
    type,
    key: null,
    ref: null,
    props,
    _owner: null,
    _store: {},
  });

  const Viewport = ({ displaySets, viewportId }) =>
    element("iframe", {
      src: displaySets[0].waveformPage,
      title: displaySets[0].label,
      className: "isocenter-waveform",
      style: { width: "100%", height: "100%", border: 0, background: "#111417" },
      "data-viewport-id": viewportId,
    });

  // While a series is dragged, frames would swallow it before their viewport is told.
  const catching = (value) => () => {
    for (const frame of document.querySelectorAll(".isocenter-waveform")) frame.style.pointerEvents = value;
  };
  document.addEventListener("dragstart", catching("none"));
  for (const end of ["dragend", "drop"]) document.addEventListener(end, catching(""));

  window.config.extensions.push({
    id: ID,
    getViewportModule: () => [{ name: NAME, component: Viewport }],
    getSopClassHandlerModule: () => [
      { name: NAME, sopClassUids: sopClasses, getDisplaySetsFromSeries: (all) => all.map(displaySetOf) },
    ],
  });
})();
