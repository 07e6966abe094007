"""``isocenter peers``: the applications we know."""

import asyncio
from typing import Annotated

import typer

from isocenter.cli.holdings import archive_in
from isocenter.cli.output import say
from isocenter.cli.serve import ConfigOption, DataOption, load_settings
from isocenter.cli.table import Table
from isocenter.config import Config


def peers(
    add: Annotated[
        list[str] | None,
        typer.Option(metavar="AET@HOST:PORT", help="Keep another, or change one. Repeatable."),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="AET", help="Forget one. Repeatable.")
    ] = None,
    note: Annotated[str, typer.Option(help="What to say of those that are added.")] = "",
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """List the peers we know; add or remove some. A server that runs knows at once."""
    asyncio.run(_peers(load_settings(config, data=data), add or [], remove or [], note))


async def _peers(config: Config, add: list[str], remove: list[str], note: str) -> None:
    from isocenter.address import Address
    from isocenter.archive.peers import Peers, address_of

    given = [Address.parse(each) for each in add]
    checked = [address_of(each.ae_title, each.host, str(each.port)) for each in given]
    async with archive_in(config, alone=False) as archive:
        known = Peers(archive.index.peers, config.peer)
        for title in remove:
            await known.remove(title)
        kept = {each.address.ae_title for each in await known.all() if not each.is_configured}
        for address in checked:
            if address.ae_title in kept:
                await known.change(address.ae_title, address, note)
            else:
                await known.add(address, note)
        table = Table(["AE title", "host", "port", "kept in", "note"], say)
        for each in await known.all():
            place = "settings" if each.is_configured else "archive"
            address = each.address
            table.add([address.ae_title, address.host, str(address.port), place, each.note])
        table.flush()
