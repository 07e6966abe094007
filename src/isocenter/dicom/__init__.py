"""DICOM encoding: bytes to elements and back (PS3.5, PS3.10), without objects nobody asked for.

Start at ``scanner`` (one pass over a data set that arrives in pieces) and ``elements`` (a walk over
one that is there as a whole); ``layout`` holds the rules both read by. ``part10`` reads and writes
files, ``json_model`` is PS3.18 Annex F, from which ``encoding`` and ``xml_model`` lead on, with
values that are elsewhere as in ``bulk``; ``reencode`` changes the encoding of a stream.
"""
