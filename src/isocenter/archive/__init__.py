"""What an archive does: ingest, search, retrieve, remove, verify, reindex.

Every front door calls these functions; none of them knows a wire. Start at ``ingest``.
"""
