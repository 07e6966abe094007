"""Pages: what a person sees of the archive in a browser.

Server-rendered, with a little script for what cannot be: a module per page. Start reading at
``application`` (what is served where) and ``page`` (how a page is made).
"""
