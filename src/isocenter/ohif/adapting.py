"""What of the package is served, and what is changed in it so that it need not stand at the root.

Its scripts were built to be served at ``/``. They are told to look beside themselves instead, so
that they can stand below any path; its page is replaced by one of ours, without script in it.
"""

import re
from typing import Final

from isocenter.errors import Malformed

ROOT: Final = "dist/"
# The runtime for segmenting by a model (117 MB) has no models to run here, and would fetch them
# from elsewhere. A service worker would go on serving an old viewer. The rest is for other hosts.
_LEFT_OUT: Final = re.compile(
    r"ort/.*|.*\.map|.*\.html|_headers|_redirects|serve\.json|manifest\.json|app-config\.js"
    r"|sw\.js|init-service-worker\.js|google\.js|oidc-client\.min\.js|.*/\..*"
    r"|assets/(?:apple-touch-.*|android-.*|coast-.*|mstile-.*|yandex-.*|browserconfig\.xml)"
)
_BUILT_FOR: Final = b'__webpack_require__.p = "/";'
# A page has its base, a worker stands beside the other scripts.
_BESIDE: Final = (
    b"__webpack_require__.p ="
    b' new URL(".", self.document ? self.document.baseURI : self.location.href).pathname;'
)
_SCRIPT: Final = re.compile(rb'<script defer="defer" src="/(app\.bundle\.[0-9a-f]+\.js)">')


def name_of(path: str) -> str | None:
    """The path below ``/ohif/`` of what is at ``path`` in the package; None: it is not served."""
    name = path.removeprefix(ROOT)
    return None if name == path or _LEFT_OUT.fullmatch(name) else name


def adapted(name: str, content: bytes) -> bytes:
    """A file of the package as it is served: it finds others beside itself."""
    if name.endswith(".js"):
        return content.replace(_BUILT_FOR, _BESIDE)
    if name.endswith(".css"):
        return content.replace(b"url(/", b"url(")
    return content


def entry_of(page: bytes) -> str:
    """The script that the package's own page begins with. Raises: Malformed."""
    if not (found := _SCRIPT.search(page)):
        raise Malformed("the package's page does not say which script it begins with")
    return found[1].decode()
