"""What the HTTP front doors share: HTTP itself, free of what any of them serves.

Start at ``addresses``: where a client reaches us. ``conditional`` is entity tags, ``delivery``
answers that are made while they are sent, ``media_types`` Accept and Content-Type.
"""
