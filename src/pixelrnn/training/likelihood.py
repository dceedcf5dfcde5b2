"""Training of the autoregressive models: what is missing becomes as likely as can be."""

from typing import Any

import torch

from ..parallel import joint
from .modules import RecipeModule


class LikelihoodModule(RecipeModule):
    """An autoregressive model under one recipe; the loss is nats per missing pixel, over all pictures of a batch together."""

    def _nats(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Minus the log-likelihood of each picture's missing pixels (B,), and how many those are (B,)."""
        mask = batch["mask"]
        with torch.autocast(self.device.type, enabled=False):
            return -self.model.log_prob(batch["target"], mask, batch.get("guess")), mask.sum(dim=(1, 2, 3))  # type: ignore[operator]

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        nats, missing = self._nats(batch)
        loss = nats.sum() / joint(missing.sum()).clamp_min(1)
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(nats), sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        nats, missing = self._nats(batch)
        self.log("val_loss", nats.sum() / missing.sum().clamp_min(1), batch_size=int(missing.sum()), sync_dist=True)
        self.log("nats", nats.mean(), batch_size=len(nats), sync_dist=True)  # per picture
