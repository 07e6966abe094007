"""DICOM service classes over the archive, a module each (PS3.4).

A provider translates a request, calls the archive and translates the answer. Start at ``store``.
"""
