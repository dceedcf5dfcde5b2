"""Training against a discriminator that learns beside the completion."""

from typing import Any

import torch
from torch import nn

from ..models import Prediction
from ..models.discriminator import PatchDiscriminator, feature_loss, hinge_loss, realness_loss
from .modules import CompletionModule, detailed
from .recipe import Recipe


class AdversarialModule(CompletionModule):
    """A completion model and a PatchDiscriminator of its fills, the losses of both in one step (Goodfellow et al. 2014)."""

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        self.discriminator = PatchDiscriminator().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_loss(self, prediction: Prediction, batch: dict[str, Any]) -> torch.Tensor:
        """What CompletionModule minimises, how far from real the completion looks, and the discriminator's own loss."""
        target, mask = batch["target"], batch["mask"]
        # the filled picture as a person sees it; what goes beyond [0, 1] feels the way back by the other losses
        pasted = torch.where(mask > 0, detailed(prediction).clamp(0, 1), target).contiguous(memory_format=torch.channels_last)
        judged = self.discriminator(torch.cat([target, pasted.detach()]), mask.repeat(2, 1, 1, 1))
        real, filled = judged.split(len(target))
        loss = super().training_loss(prediction, batch) + hinge_loss(real, filled, mask)
        self.discriminator.requires_grad_(False)  # the completion's loss is not for it to learn from
        filled = self.discriminator(pasted, mask)
        self.discriminator.requires_grad_(True)
        realness, features = realness_loss(filled, mask), feature_loss(real, filled, mask)
        self.log_dict({"realness": realness, "feature_loss": features}, on_epoch=True, on_step=False, batch_size=len(target))
        return loss + self.recipe.realness_weight * realness + self.recipe.feature_weight * features

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parts = ((self.model, self.recipe.learning_rate), (self.discriminator, self.recipe.discriminator_rate))
        groups = [{"params": list(part.parameters()), "lr": rate, "peak": rate} for part, rate in parts]
        # little momentum: each of the two aims at what the other moves
        return torch.optim.Adam(groups, betas=(0.5, 0.99))
