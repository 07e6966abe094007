"""The DICOM network: upper layer (PS3.8) and message exchange (PS3.7).

Start at ``pdu`` (values), ``upper_layer`` (the state machine) and ``message``; none of them does
I/O. ``association`` is all the asyncio there is; ``server`` and ``client`` are what others use.
"""
