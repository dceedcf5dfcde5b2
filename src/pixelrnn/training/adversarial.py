"""Training against a discriminator that learns beside the completion."""

from typing import Any

import torch

from ..models import CompletionModel, Prediction
from ..models.discriminator import PatchDiscriminator, adversarial_loss, feature_matching_loss, hinge_loss
from .modules import CompletionModule, unclamped
from .recipe import Recipe


class AdversarialModule(CompletionModule):
    """A completion model and a PatchDiscriminator of its fills, the losses of both in one step (Goodfellow et al. 2014)."""

    def __init__(self, model: CompletionModel, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        self.discriminator = PatchDiscriminator().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def training_loss(self, prediction: Prediction, batch: dict[str, Any]) -> torch.Tensor:
        """What CompletionModule minimises, how far from real the completion looks, and the discriminator's own loss."""
        target, mask = batch["target"], batch["mask"]
        # the filled picture as a person sees it; what goes beyond [0, 1] feels the way back by the other losses
        pasted = torch.where(mask > 0, unclamped(prediction).clamp(0, 1), target).contiguous(memory_format=torch.channels_last)
        judged = self.discriminator(torch.cat([target, pasted.detach()]), mask.repeat(2, 1, 1, 1))
        real, filled = judged.split(len(target))
        loss = super().training_loss(prediction, batch) + hinge_loss(real, filled, mask)
        self.discriminator.requires_grad_(False)  # the completion's loss is not for it to learn from
        filled = self.discriminator(pasted, mask)
        self.discriminator.requires_grad_(True)
        adversarial, matching = adversarial_loss(filled, mask), feature_matching_loss(real, filled, mask)
        told = {"adversarial": adversarial, "feature_matching": matching}
        self.log_dict(told, on_epoch=True, on_step=False, batch_size=len(target))
        return loss + self.recipe.adversarial_weight * adversarial + self.recipe.feature_matching_weight * matching

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parts = ((self.model, self.recipe.learning_rate), (self.discriminator, self.recipe.discriminator_rate))
        groups = [{"params": list(part.parameters()), "lr": rate, "peak": rate} for part, rate in parts]
        # little momentum: each of the two aims at what the other moves
        return torch.optim.Adam(groups, betas=(0.5, 0.99))
