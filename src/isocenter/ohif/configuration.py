"""What OHIF is told of this server: a script that sets ``window.config``."""

from pathlib import Path
from typing import Any, Final

import orjson

from isocenter.dicom.sop_classes import SOP_CLASSES
from isocenter.imaging.waveforms import is_waveform

SOURCE: Final = "isocenter"
# OHIF asks for its viewer of slides at the root of the host; that stands beside the page.
_IMPORT: Final = (
    b"window.browserImportFunction = (name) =>"
    b' import(name.startsWith("/") ? window.PUBLIC_URL + name.slice(1) : name);\n'
)
# Peer quirk: OHIF 3.12.10 draws the first frame of a video only where that does not play yet when
# OHIF goes there. Where the browser lets it start by itself it would stay black until touched.
_STILL: Final = (
    b'Object.defineProperty(HTMLMediaElement.prototype, "autoplay",'
    b" {get: () => false, set() {}});\n"
)

_EXTENSION: Final = "@isocenter/extension-waveforms"
_HANDLER: Final = f"{_EXTENSION}.sopClassHandlerModule.waveform"
_VIEWPORT: Final = f"{_EXTENSION}.viewportModule.waveform"
WAVEFORMS: Final = (Path(__file__).parent / "waveforms.js").read_bytes()
"""The extension that shows waveforms, which OHIF does not."""
# Those that OHIF makes of its basic mode, and that it lets us change (immutability-helper).
_MODES: Final = ("@ohif/mode-longitudinal", "@ohif/mode-basic")
_NOT_IN_THESE_MODES: Final = ("SEG", "RTSTRUCT", "RTPLAN", "PR", "SR")
"""Modalities that do not open these modes alone: as OHIF has it, without ECG."""


def script(prefix: str) -> bytes:
    """Return the script; ``prefix``: the path below which this server is reached, or nothing."""
    told = orjson.dumps(configuration(prefix), option=orjson.OPT_INDENT_2)
    return b"".join(
        (
            b"window.config = ",
            told,
            b";\n",
            # What the package's own page has within itself: ours has no script in it.
            b'window.PUBLIC_URL = new URL(".", document.baseURI).pathname;\n',
            _IMPORT,
            # Peer quirk: OHIF 3.12.10, whose runtime for models asks for this name when it is
            # started by anything but its own element, and otherwise ends on an empty page.
            b"window.__filename = window.PUBLIC_URL;\n",
            b"window.isocenter = ",
            orjson.dumps(_ours(prefix), option=orjson.OPT_INDENT_2),
            b";\n",
            WAVEFORMS,
            _STILL,
        )
    )


def _ours(prefix: str) -> dict[str, Any]:
    """What our extension is told."""
    return {"prefix": prefix, "sopClasses": sorted(filter(is_waveform, SOP_CLASSES))}


def configuration(prefix: str) -> dict[str, Any]:
    """The configuration, as OHIF documents it."""
    return {
        "name": SOURCE,
        "routerBasename": f"{prefix}/ohif",
        "extensions": [],
        "modes": [],
        "modesConfiguration": dict.fromkeys(_MODES, _with_waveforms()),
        "customizationService": {},
        "showStudyList": True,
        "showWarningMessageForCrossOrigin": False,
        "showCPUFallbackMessage": True,
        "showLoadingIndicator": True,
        "showErrorDetails": "always",
        "strictZSpacingForVolumeViewport": True,
        "groupEnabledModesFirst": True,
        "maxNumberOfWebWorkers": 3,
        "maxNumRequests": {"interaction": 100, "thumbnail": 75, "prefetch": 25},
        "defaultDataSourceName": SOURCE,
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": SOURCE,
                "configuration": _source(prefix),
            },
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomlocal",
                "sourceName": "dicomlocal",
                "configuration": {"friendlyName": "Files on this computer"},
            },
        ],
    }


def _with_waveforms() -> dict[str, Any]:
    """What is changed in a mode for it to show waveforms."""
    viewport = {"namespace": _VIEWPORT, "displaySetsToDisplay": [_HANDLER]}
    shown = {"layoutInstance": {"props": {"viewports": {"$push": [viewport]}}}}
    return {
        "sopClassHandlers": {"$push": [_HANDLER]},
        "routes": {"0": shown},
        "nonModeModalities": {"$set": list(_NOT_IN_THESE_MODES)},
    }


def _source(prefix: str) -> dict[str, Any]:
    return {
        "friendlyName": "Isocenter",
        "name": SOURCE,
        "qidoRoot": f"{prefix}/dicom-web",
        "wadoRoot": f"{prefix}/dicom-web",
        "wadoUriRoot": f"{prefix}/wado",
        "qidoSupportsIncludeField": True,
        "supportsFuzzyMatching": True,
        "supportsWildcard": True,
        "supportsStow": True,
        "supportsReject": False,
        "dicomUploadEnabled": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "thumbnail",
        "enableStudyLazyLoad": True,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
        "singlepart": "bulkdata,video,pdf",
    }
