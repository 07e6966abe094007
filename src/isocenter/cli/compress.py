"""``isocenter compress``: what a data folder holds, compressed without loss."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from isocenter.cli.holdings import archive_in
from isocenter.cli.network import FAILED
from isocenter.cli.output import complain, progress, say
from isocenter.cli.serve import ConfigOption, DataOption, load_settings, quiet_log
from isocenter.config import CompressionRule, Config, Lossless
from isocenter.errors import IsocenterError, Malformed

if TYPE_CHECKING:
    from isocenter.archive.archive import Archive
    from isocenter.archive.candidates import Rules
    from isocenter.archive.compression import Outcome, Plan
    from isocenter.storage.records import InstanceRef

SWEEP: Final = 100
"""Instances after which the bytes of their originals are given back."""


def compress(
    to: Annotated[
        Lossless | None,
        typer.Option(help="The transfer syntax, for all instances; else as the rules say."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would be saved.")
    ] = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Compress what a data folder holds, without loss and without a server."""
    quiet_log()
    loaded = load_settings(config, data=data)
    rules = (CompressionRule(to=to),) if to else loaded.compression
    if not rules:
        raise Malformed("say --to, or write [[compression]] rules into the settings")
    if not asyncio.run(_compress(loaded, rules, is_trial=dry_run)):
        sys.exit(FAILED)


async def _compress(config: Config, rules: tuple[CompressionRule, ...], *, is_trial: bool) -> bool:
    from isocenter.archive.candidates import Rules
    from isocenter.archive.compression import compress_each

    tally = _Tally()
    async with archive_in(config, alone=not is_trial) as archive:
        work = archive.compression(archive.imaging, grace=0, is_trial=is_trial)
        with progress("compressing") as steps:
            plans = _plans(archive, Rules(rules), tally)
            outcomes = compress_each(plans, work.compress, work.at_once)
            async with aclosing(plans), aclosing(outcomes):
                async for outcome in outcomes:
                    steps.step(outcome.instance.size)
                    tally.count(outcome)
                    if tally.compressed % SWEEP == SWEEP - 1:
                        await archive.delete_blobs()
        if not is_trial:
            await archive.delete_blobs()
    tally.tell(is_trial=is_trial)
    return not tally.has_failures


async def _plans(archive: "Archive", rules: "Rules", tally: "_Tally") -> "AsyncGenerator[Plan]":
    async for page in archive.index.all_instances():
        for instance in page:
            if not rules.may_apply(instance):
                continue
            try:
                found = await archive.in_worker(partial(rules.rule_for, archive.store, instance))
            except IsocenterError as error:
                tally.fail(instance, str(error))
                continue
            if found is not None:
                yield instance, found.target


class _Tally:
    """Counts what became of instances, and tells of those that failed."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._before = self._after = 0
        self.compressed = 0
        self.has_failures = False

    def count(self, outcome: "Outcome") -> None:
        from isocenter.archive.compression import Fate

        if outcome.fate is Fate.FAILED:
            self.fail(outcome.instance, outcome.reason)
            return
        why = f" ({outcome.reason})" if outcome.reason else ""
        self._counts[outcome.fate.value + why] += 1
        if outcome.fate is Fate.COMPRESSED:
            self.compressed += 1
            self._before += outcome.instance.size
            self._after += outcome.made

    def fail(self, instance: "InstanceRef", reason: str) -> None:
        self._counts["not compressed"] += 1
        self.has_failures = True
        complain(f"not compressed: {instance.sop_instance_uid}: {reason}")

    def tell(self, *, is_trial: bool) -> None:
        for fate, count in self._counts.most_common():
            say(f"{count} {fate}")
        if self._after:
            verb = "would become" if is_trial else "became"
            sizes = f"{self._before / 1e6:.1f} MB {verb} {self._after / 1e6:.1f} MB"
            say(f"{sizes} ({self._before / self._after:.2f}:1)")
        elif not self._counts:
            say("there is nothing to compress")
