"""The viewer OHIF: got from where npm packages are kept, made to fit this server, served at /ohif.

Start reading in `installation`; `serving.Viewer` is what answers. Nothing of OHIF is in this
repository: what is installed is checked by its pinned hash, whoever gave it.
"""
