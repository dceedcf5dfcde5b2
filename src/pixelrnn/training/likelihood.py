"""Training of the autoregressive models by maximum likelihood of the missing pixels."""

from typing import Any

import torch

from ..models.autoregressive import Autoregressive
from ..parallel import joint
from .modules import RecipeModule


class LikelihoodModule(RecipeModule):
    """An autoregressive model under one recipe; the loss is nats per missing pixel over the joint batch."""

    model: Autoregressive

    def _nats(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Negative log-likelihood of each image's missing pixels (B,), and their number (B,)."""
        mask = batch["mask"]
        nats = -self.model.log_prob(batch["target"], mask, batch.get("guess"))
        return nats, mask.sum(dim=(1, 2, 3))

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        nats, count = self._nats(batch)
        loss = nats.sum() / joint(count.sum()).clamp_min(1)
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(nats), sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        nats, count = self._nats(batch)
        self.log("val_loss", nats.sum() / count.sum().clamp_min(1), batch_size=int(count.sum()), sync_dist=True)
        self.log("nats", nats.mean(), batch_size=len(nats), sync_dist=True)  # per image
