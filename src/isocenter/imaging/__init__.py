"""What the pixels of an instance are: where each frame lies.

Start reading at ``frames``. Codecs, colour and rendering belong here, too.
"""
