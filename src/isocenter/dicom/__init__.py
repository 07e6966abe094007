"""DICOM encoding: bytes to elements and back (PS3.5, PS3.10), without objects nobody asked for.

Start at ``scanner`` (one pass over a data set that arrives in pieces) and ``elements`` (a walk
over one that is there as a whole). ``part10`` reads and writes files, ``syntax`` knows transfer
syntaxes.
"""
