"""All resources of PS3.18 as one application."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route, WebSocketRoute

from isocenter.archive.archive import Archive
from isocenter.config import Config
from isocenter.dicomweb import notifications, problems, store, workitems
from isocenter.dicomweb.resources import Resource
from isocenter.errors import IsocenterError

RESOURCES: tuple[Resource, ...] = (*store.RESOURCES, *workitems.RESOURCES)
"""Every resource, the more special paths first."""


def application(archive: Archive, config: Config) -> Starlette:
    """Return what is served below ``/dicom-web``; endpoints find ``archive`` and ``config`` in
    ``request.app.state``."""
    serving = Starlette(
        routes=[
            *(
                Route(resource.path, method.endpoint, methods=[name])
                for resource in RESOURCES
                for name, method in resource.methods.items()
            ),
            WebSocketRoute(notifications.PATH, notifications.notify),
        ],
        exception_handlers={
            IsocenterError: problems.on_error,
            HTTPException: problems.on_error,
            Exception: problems.on_error,
        },
    )
    serving.state.archive = archive
    serving.state.config = config
    return serving
