"""DICOMweb: the web services of PS3.18, translated into calls of the archive.

Start at ``resources`` (what a resource is) and ``routing`` (all of them in one application).
Each transaction is a module of its own; ``problems`` says what our errors are called over HTTP.
"""
