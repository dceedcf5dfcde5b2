"""Files on the Hugging Face hub, or on another host that speaks its protocol: fetched by name, and pushed.

The cache, the host and tokens are huggingface_hub's own: HF_HOME, HF_ENDPOINT, HF_TOKEN or `hf auth login`. HF_HUB_OFFLINE=1
asks the network for nothing.
"""

import logging
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from .errors import PixelRNNError

WEIGHTS, CARD = "model.safetensors", "README.md"  # the hub's own names: it counts parameters of the one and shows the other
SUFFIXES = (".safetensors", ".onnx", ".pth")
PREFIX = "hf://"
TIMEOUT = 3.0  # seconds to hear from the host, after which a copy in the cache is used; HF_HUB_ETAG_TIMEOUT is another number
LOG = logging.getLogger("pixelrnn")
NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>refs/\w+/\w+|[^/@]+))?(/(?P<file>.+))?")


class Address(NamedTuple):
    """A file in a repository, at a branch, a tag or a commit."""

    repo: str
    revision: str = "main"
    file: str = WEIGHTS

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}/{self.file}"


def read_address(words: str) -> Address | None:
    """What hf://OWNER/NAME[@REVISION][/FILE] or OWNER/NAME[@REVISION] names; None for other words, as paths of weights are.

    Raises PixelRNNError for a malformed hf:// address, and a file that is no weights.
    """
    named, path = words.startswith(PREFIX), words.removeprefix(PREFIX)
    found = NAME.fullmatch(path)
    if not named and (found is None or found["file"] or path.endswith(SUFFIXES)):
        return None
    if found is None or not (found["file"] or WEIGHTS).endswith(SUFFIXES):
        raise PixelRNNError(f"{words}: expected hf://OWNER/NAME, then @REVISION or a /FILE that ends in {', '.join(SUFFIXES)}.")
    return Address(**{key: value for key, value in found.groupdict().items() if value})


@cache
def fetch(address: Address) -> Path:
    """The file in the cache, downloaded where it is not the newest; once in a process, so that one run sees one version.

    A commit of 40 digits that is in the cache asks the network for nothing. Where the host does not answer, the copy in the
    cache is used. Raises PixelRNNError where there is none, and for what the host does not have or does not show.
    """
    hub = _library(f"{address.repo}: no such file here, and weights on the hub need")
    told = {"library_name": "pixelrnn", "repo_id": address.repo, "filename": address.file, "revision": address.revision}
    place = {key: told[key] for key in ("repo_id", "filename", "revision")}
    if re.fullmatch("[0-9a-f]{40}", address.revision) and isinstance(kept := hub.try_to_load_from_cache(**place), str):
        return Path(kept)
    unreachable = None
    try:
        # asked first, since the download would try again for minutes
        hub.get_hf_file_metadata(hub.hf_hub_url(**place), timeout=float(os.environ.get("HF_HUB_ETAG_TIMEOUT", TIMEOUT)))
    except hub.errors.RemoteEntryNotFoundError:
        raise PixelRNNError(
            f"{address.repo}: no {address.file} in it at {address.revision}. Name a file: hf://{address.repo}/FILE."
        ) from None
    except hub.errors.RevisionNotFoundError:
        raise PixelRNNError(f"{address.repo}: no revision {address.revision}. Give a branch, a tag or a commit.") from None
    except hub.errors.RepositoryNotFoundError:  # gated ones, too
        raise PixelRNNError(_not_shown(address.repo)) from None
    except Exception as error:  # offline, or whatever the network raises
        unreachable = error
    try:
        found = Path(hub.hf_hub_download(**told, local_files_only=unreachable is not None))
    except hub.errors.LocalEntryNotFoundError:
        raise PixelRNNError(f"{address}: not in the cache, and {_reason(unreachable)}.") from None
    except Exception as error:  # the network's, or a full disk
        raise PixelRNNError(f"{address}: the download failed ({_one_line(error)}). Try again.") from None
    if unreachable is not None and not hub.is_offline_mode():
        LOG.warning(f"{address}: the copy in the cache is used, since {_reason(unreachable).partition('. ')[0]}.")
    return found


def upload(files: Mapping[str, Path | bytes], repo: str, private: bool, message: str, keep_card: bool) -> str:
    """Commit files to OWNER/NAME by their names there, one commit for all; makes the repository where there is none. Returns
    the address of the commit.

    private: it is to be a private one. keep_card: leave out README.md where there is one already. Raises PixelRNNError
    where it is refused, is public and should not be, or the network fails.
    """
    found = NAME.fullmatch(repo)
    if found is None or found["repo"] != repo:
        raise PixelRNNError(f"{repo}: expected OWNER/NAME, the repository to push to.")
    hub = _library("pushing needs")
    if hub.is_offline_mode():
        raise PixelRNNError(f"{repo}: cannot be pushed to, HF_HUB_OFFLINE is set. Unset it.")
    api = hub.HfApi(library_name="pixelrnn")
    try:
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise PixelRNNError(f"{repo}: a public repository already. Leave out --private, or give another name.")
        kept = {CARD} if keep_card and api.file_exists(repo, CARD) else set()
        content = [
            hub.CommitOperationAdd(name, str(source) if isinstance(source, Path) else source)
            for name, source in files.items()
            if name not in kept
        ]
        return str(api.create_commit(repo, content, commit_message=message).commit_url)
    except PixelRNNError:
        raise
    except Exception as error:  # whatever the network raises
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in (401, 403):
            raise PixelRNNError(f"{repo}: may not be written to with your token. {LOG_IN}") from None
        raise PixelRNNError(f"{repo}: cannot be pushed to ({_one_line(error)}). Try again.") from None


LOG_IN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may."


def _library(what: str) -> Any:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # it would tell what else is installed, and who started it
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise PixelRNNError(f"{what} huggingface_hub. Install it: pip install 'pixelrnn[hub]'.") from None
    return huggingface_hub


def _not_shown(repo: str) -> str:
    return f"{repo}: no such file here, and no such repository on the hub, or a private one. Check the name. {LOG_IN}"


def _reason(unreachable: Exception | None) -> str:
    if isinstance(unreachable, _library("this needs").errors.OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set. Unset it, or download it once beforehand"
    return f"the hub cannot be reached ({_one_line(unreachable)}). Check the network, or give a file"


def _one_line(error: Exception | None) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
