"""What is to be compressed into what, and whether an instance is fit for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from isocenter.archive.headers import reader_of
from isocenter.archive.provenance import Provenance
from isocenter.config import CompressionRule
from isocenter.dicom import part10
from isocenter.dicom.layout import PIXEL_DATA_TAGS
from isocenter.dicom.part10 import FileHeader
from isocenter.dicom.syntax import UNCOMPRESSED, TransferSyntax
from isocenter.dicom.windowed import Walk
from isocenter.errors import IsocenterError, Unsupported
from isocenter.imaging import frames, native, subject
from isocenter.imaging.frames import FrameMap
from isocenter.imaging.subject import Subject
from isocenter.imaging.targets import target_named
from isocenter.imaging.transcoding import JPEG_XL_RECOMPRESSED, RECOMPRESSED
from isocenter.storage.blobs import Blob, BlobStore
from isocenter.storage.records import InstanceRef

MODALITY: Final = 0x00080060
MAC_PARAMETERS: Final = 0x4FFE0001
SIGNATURES: Final = 0xFFFAFFFA
"""The sequences of digital signatures (PS3.3 C.12.1.1.3)."""
SOURCE_AE: Final = 0x00020016
_UNCOMPRESSED: Final = frozenset(each.uid for each in UNCOMPRESSED)
_HEADER_SIZE: Final = 1 << 16


class Unfit(Unsupported):
    """The instance is such that it stays as it came: that is no failure."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What rules go by, besides what the index has at hand."""

    peer: str
    modality: str


class _Store(Protocol):
    def open(self, key: str) -> Blob: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the settings, with its transfer syntax."""

    config: CompressionRule
    target: TransferSyntax

    @property
    def delay(self) -> float | None:
        """Seconds for which an instance stays as it came; None, if it is compressed on ingest."""
        return self.config.age if self.config.when == "later" else None

    def may_apply(self, instance: InstanceRef) -> bool:
        """Whether the rule is for such instances, as far as the index knows."""
        classes = self.config.sop_classes
        is_of_class = not classes or instance.sop_class_uid in classes
        return is_of_class and is_turned(instance.transfer_syntax, self.target.uid)

    def applies(self, sent: Sent) -> bool:
        """Whether it is for what came from there; ``may_apply`` is to be true, too."""
        config = self.config
        return (not config.modalities or sent.modality in config.modalities) and (
            not config.peers or sent.peer in config.peers
        )


class Rules:
    """The rules in their order: the first that fits an instance counts."""

    def __init__(self, rules: Iterable[CompressionRule]) -> None:
        self.all = tuple(Rule(each, target_named(each.to)) for each in rules)

    def may_apply(self, instance: InstanceRef) -> bool:
        """Whether there may be a rule for it."""
        return any(rule.may_apply(instance) for rule in self.all)

    def rule_for(self, store: _Store, instance: InstanceRef) -> Rule | None:
        """Find the rule for an instance. Blocks. Raises: NotFound, Malformed, Unavailable."""
        fitting = [rule for rule in self.all if rule.may_apply(instance)]
        if not fitting:
            return None
        sent = Sent("", "")
        if any(rule.config.modalities or rule.config.peers for rule in fitting):
            sent = _sent(store, instance)
        return next((rule for rule in fitting if rule.applies(sent)), None)


def is_turned(source: str, target: str) -> bool:
    """Whether that is a pair that rules are for.

    What is compressed stays as it is, but for streams that are turned into others and can be had
    back byte for byte.
    """
    if target == JPEG_XL_RECOMPRESSED:
        return (source, target) in RECOMPRESSED
    return source in _UNCOMPRESSED


def sender(store: _Store, blob_key: str) -> str:
    """Who sent what a blob holds; empty, where it does not say. Blocks; never raises."""
    try:
        blob = store.open(blob_key)
        try:
            return part10.read(blob.window(0, _HEADER_SIZE)).text(SOURCE_AE)
        finally:
            blob.close()
    except IsocenterError:
        return ""


def _sent(store: _Store, instance: InstanceRef) -> Sent:
    blob = store.open(instance.blob_key)
    try:
        peer = part10.read(blob.window(0, _HEADER_SIZE)).text(SOURCE_AE)
        reader, syntax = reader_of(blob, instance)
        for place in Walk(reader, syntax).elements(frozenset((MODALITY,))):
            if place.tag == MODALITY:
                value = reader.window(place.offset, place.offset + min(place.length or 0, 64))
                return Sent(peer, bytes(value).decode("latin-1").strip(" \0"))
            if place.tag > MODALITY:
                break
        return Sent(peer, "")
    finally:
        blob.close()


@dataclass(frozen=True, slots=True)
class Examined:
    """An instance that is fit to be compressed."""

    header: FileHeader
    provenance: Provenance


def examine(store: BlobStore, instance: InstanceRef) -> Examined:
    """Look whether an instance may be compressed. Blocks.

    Raises: Unfit, if not; Malformed, Unsupported, NotFound, Unavailable.
    """
    blob = store.open(instance.blob_key)
    try:
        header = part10.read(blob.window(0, _HEADER_SIZE))
        reader, syntax = reader_of(blob, instance)
        walk = Walk(reader, syntax)
        tags = frozenset({MAC_PARAMETERS, SIGNATURES, *PIXEL_DATA_TAGS})
        found = {place.tag for place in walk.elements(tags)}
        if found & {MAC_PARAMETERS, SIGNATURES}:
            raise Unfit("it is signed: a signature may be over its pixel data")
        if not found & set(PIXEL_DATA_TAGS):
            raise Unfit("it has no pixel data")
        image = subject.describe(walk, syntax)
        if image.form.is_float:
            raise Unfit("its pixels are floating point numbers")
        if not syntax.is_encapsulated:
            _refuse_odd(image, frames.locate(walk, syntax))
        return Examined(header, Provenance.read(header.meta))
    finally:
        blob.close()


def _refuse_odd(image: Subject, lies: FrameMap) -> None:
    """Raises: Unfit, for native pixels that would come back otherwise than they were."""
    if native.is_subsampled(image.form):
        raise Unfit("its pixels share their chroma, which no compression keeps so")
    needed = (lies.count * image.form.samples * image.form.bits_allocated + 7) // 8
    if lies.end - lies.start > needed + needed % 2:
        raise Unfit("there are bytes behind its last frame")
