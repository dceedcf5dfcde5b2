"""The command `pixelrnn push`."""

from typing import Annotated

import typer

from .common import say


def push(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="The folder of a training run, a .safetensors file, or a bundled name.")
    ],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository on the hub; created if it does not exist.")],
    private: Annotated[bool, typer.Option("--private", help="Create a private repository.")] = False,
    licence: Annotated[
        str | None,
        typer.Option("--license", help="Licence of weights that you trained from scratch, such as mit or cc-by-4.0."),
    ] = None,
) -> None:
    """Push weights to the Hugging Face hub with model card, loss curve and history, but no photographs. Needs the hub extra."""
    from ..publishing import push_to_hub

    say(push_to_hub(run, repo, private, licence))
    say(f"Complete a picture with them: pixelrnn complete PICTURE --weights {repo}")
