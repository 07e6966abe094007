"""Bulk data: the values that metadata only refers to (PS3.18 10.4.1.1.5).

A BulkDataURI is the instance's path, ``/bulkdata/`` and the path to the attribute: it holds as long
as the instance is what it is.
"""

from collections.abc import Sequence

from isocenter.dicom import paths


def uri_of(study: str, series: str, instance: str, path: Sequence[int]) -> str:
    """Give the BulkDataURI of an attribute, below the root of the service.

    ``path`` is tag, or tag, item, tag and so on; items are counted from 0.
    """
    root = f"/studies/{study}/series/{series}/instances/{instance}"
    return f"{root}/bulkdata/{paths.written(path)}"
