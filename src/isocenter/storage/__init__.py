"""Keeping: blobs (immutable bytes) and the index (what is searched).

Start at ``blobs`` (the interface), ``files`` (the store on disk) and ``index``. Nothing above this
package knows SQL or paths.
"""
