"""Fetch files from the Hugging Face hub, or from another host that speaks its protocol, and push files there.

huggingface_hub decides on the cache, the host and the token: HF_HOME, HF_ENDPOINT, HF_TOKEN or `hf auth login`. With
HF_HUB_OFFLINE=1 nothing is asked of the network.
"""

import logging
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .errors import PixelRNNError

WEIGHTS, CARD = (
    "model.safetensors",
    "README.md",
)  # the hub's own names: it counts the parameters in the first and shows the second
SUFFIXES = (".safetensors", ".onnx", ".pth")
PREFIX = "hf://"
TIMEOUT = 3.0  # seconds to wait for the host before a copy in the cache is used; HF_HUB_ETAG_TIMEOUT overrides it
LOG = logging.getLogger("pixelrnn")
NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>refs/\w+/\w+|[^/@]+))?(/(?P<file>.+))?")


class Address(NamedTuple):
    """A file in a repository at a revision: a branch, a tag or a commit."""

    repo: str
    revision: str = "main"
    file: str = WEIGHTS

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}/{self.file}"


def read_address(words: str) -> Address | None:
    """Parse hf://OWNER/NAME[@REVISION][/FILE] or OWNER/NAME[@REVISION].

    Returns:
        The address; None for other words, such as the paths of weights.

    Raises:
        PixelRNNError: an hf:// address is malformed, or names a file that holds no weights.
    """
    prefixed, path = words.startswith(PREFIX), words.removeprefix(PREFIX)
    match = NAME.fullmatch(path)
    if not prefixed and (match is None or match["file"] or path.endswith(SUFFIXES)):
        return None
    if match is None or not (match["file"] or WEIGHTS).endswith(SUFFIXES):
        raise PixelRNNError(f"{words}: expected hf://OWNER/NAME, then @REVISION or a /FILE that ends in {', '.join(SUFFIXES)}.")
    return Address(**{key: value for key, value in match.groupdict().items() if value})


@cache
def fetch(address: Address) -> Path:
    """Download a file, unless its newest version is in the cache already.

    A process asks once for each address, so that one run sees one version. A commit of 40 digits that is in the cache needs no
    network. Where the host does not answer, the copy in the cache is used.

    Returns:
        The path of the file in the cache.

    Raises:
        PixelRNNError: the host does not have the file or does not show it, or it does not answer and no copy is in the cache.
    """
    hub = _library(f"{address.repo}: no such file here, and weights on the hub need")
    file = {"repo_id": address.repo, "filename": address.file, "revision": address.revision}
    if re.fullmatch("[0-9a-f]{40}", address.revision) and isinstance(cached := hub.try_to_load_from_cache(**file), str):
        return Path(cached)
    unreachable = None
    try:
        # asked first, since the download would retry for minutes
        hub.get_hf_file_metadata(hub.hf_hub_url(**file), timeout=float(os.environ.get("HF_HUB_ETAG_TIMEOUT", TIMEOUT)))
    except hub.errors.RemoteEntryNotFoundError:
        raise PixelRNNError(
            f"{address.repo}: holds no {address.file} at {address.revision}. Name a file: hf://{address.repo}/FILE."
        ) from None
    except hub.errors.RevisionNotFoundError:
        raise PixelRNNError(f"{address.repo}: no revision {address.revision}. Give a branch, a tag or a commit.") from None
    except hub.errors.RepositoryNotFoundError:  # also raised for gated repositories
        raise PixelRNNError(_not_shown(address.repo)) from None
    except Exception as error:  # offline, or whatever the network raises
        unreachable = error
    try:
        path = Path(hub.hf_hub_download(**file, library_name="pixelrnn", local_files_only=unreachable is not None))
    except hub.errors.LocalEntryNotFoundError:
        raise PixelRNNError(f"{address}: not in the cache, and {_reason(unreachable)}.") from None
    except Exception as error:  # of the network, or of a full disk
        raise PixelRNNError(f"{address}: the download failed ({_one_line(error)}). Try again.") from None
    if unreachable is not None and not hub.is_offline_mode():
        LOG.warning(f"{address}: the copy in the cache is used, since {_reason(unreachable).partition('. ')[0]}.")
    return path


def upload(files: Mapping[str, Path | bytes], repo: str, private: bool, message: str, keep_card: bool) -> str:
    """Push files to a repository in one commit. The repository is made where there is none.

    Args:
        files: the files or their bytes, by their names in the repository.
        repo: OWNER/NAME.
        private: whether the repository must be private.
        message: the message of the commit.
        keep_card: whether to leave out README.md where the repository has one already.

    Returns:
        The address of the commit.

    Raises:
        PixelRNNError: the push is refused, the repository is public though a private one is asked for, or the network fails.
    """
    match = NAME.fullmatch(repo)
    if match is None or match["repo"] != repo:
        raise PixelRNNError(f"{repo}: expected OWNER/NAME, the repository to push to.")
    hub = _library("pushing needs")
    if hub.is_offline_mode():
        raise PixelRNNError(f"{repo}: cannot be pushed to, HF_HUB_OFFLINE is set. Unset it.")
    api = hub.HfApi(library_name="pixelrnn")
    try:
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise PixelRNNError(f"{repo}: is a public repository already. Leave out --private, or give another name.")
        kept = {CARD} if keep_card and api.file_exists(repo, CARD) else set()
        content = [
            hub.CommitOperationAdd(name, str(source) if isinstance(source, Path) else source)
            for name, source in files.items()
            if name not in kept
        ]
        return str(api.create_commit(repo, content, commit_message=message).commit_url)
    except PixelRNNError:
        raise
    except Exception as error:  # the network raises errors of many kinds
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise PixelRNNError(f"{repo}: may not be written to with your token. {LOG_IN}") from None
        raise PixelRNNError(f"{repo}: cannot be pushed to ({_one_line(error)}). Try again.") from None


LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may."


def _library(what: str) -> Any:
    """Import huggingface_hub. Raises PixelRNNError, which begins with `what`, where it is not installed."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # it would report what else is installed, and what started it
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise PixelRNNError(f"{what} huggingface_hub. Install it: pip install 'pixelrnn[hub]'.") from None
    return huggingface_hub


def _not_shown(repo: str) -> str:
    """The message for a repository that the host does not show."""
    return f"{repo}: no such file here, and no such repository on the hub, or a private one. Check the name. {LOG_IN}"


def _reason(unreachable: Exception | None) -> str:
    """Why the host was not asked or did not answer."""
    if isinstance(unreachable, _library("this needs").errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set. Unset it, or download it once beforehand"
    return f"the hub cannot be reached ({_one_line(unreachable)}). Check the network, or give a file"


def _one_line(error: Exception | None) -> str:
    """An error's message in one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__
