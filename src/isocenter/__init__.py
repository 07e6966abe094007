"""Isocenter: a vendor-neutral DICOM archive and communication platform."""

__version__ = "0.1.0"
