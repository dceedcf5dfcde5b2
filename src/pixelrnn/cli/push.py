"""`pixelrnn push`."""

from typing import Annotated

import typer

from .common import say


def push(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The folder of a run, a .safetensors file, or a bundled name.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The repository, made where there is none.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository a private one.")] = False,
    licence: Annotated[
        str | None, typer.Option("--license", help="Of weights that you trained from nothing: mit, cc-by-4.0 and the like.")
    ] = None,
) -> None:
    """Push weights to the Hugging Face hub with a model card, curve and history; no photographs. Needs pixelrnn[hub]."""
    from ..publishing import push_to_hub

    say(push_to_hub(run, repo, private, licence))
    say(f"Complete a picture with them: pixelrnn complete PICTURE --weights {repo}")
