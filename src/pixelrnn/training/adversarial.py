"""Training for looks: a perceptual loss, and discriminators that learn beside the completion, by shares of the gradient."""

from typing import Any

import torch
from torch import nn

from ..evaluation.metrics import perceptual_distance
from ..models import CompletionModel, Prediction
from ..models.discriminator import (
    PatchDiscriminator,
    ProjectedDiscriminator,
    adversarial_loss,
    feature_matching_loss,
    hinge_loss,
)
from ..models.efficientnet import load_features
from ..parallel import joint, world_size
from .losses import deviation_loss, hole_l1_loss
from .modules import CompletionModule, unclamped
from .recipe import SHARES, Recipe

MEASURED = 50  # steps between which the size of each loss's gradient is taken to stay


class AdversarialModule(CompletionModule):
    """A completion model and the discriminators of its fills, the losses of all in one step (Goodfellow et al. 2014)."""

    def __init__(self, model: CompletionModel, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        self.shares = {name: share for name in SHARES if (share := getattr(recipe, name))}
        self.patch = PatchDiscriminator() if self.shares.keys() & {"adversarial", "feature_matching"} else None
        self.projected = ProjectedDiscriminator() if "projected" in self.shares else None
        self.features = load_features() if self.shares.keys() & {"projected", "perceptual"} else None
        self.register_buffer("norms", torch.zeros(len(self.shares)))  # of each loss's gradient, averaged
        self.to(memory_format=torch.channels_last)

    norms: torch.Tensor

    def training_loss(self, prediction: Prediction, batch: dict[str, Any]) -> torch.Tensor:
        """The discriminators' losses, and one whose gradient by the completion is that of the losses in their shares."""
        target, mask = batch["target"], batch["mask"]
        completed = torch.where(mask > 0, unclamped(prediction).float(), target)
        image = completed.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        losses, hinges = self._losses(image, target, mask)
        if self.global_step % MEASURED == 0:
            gradients = [torch.autograd.grad(loss, image, retain_graph=True)[0] for loss in losses.values()]
            squares = torch.stack([gradient.float().square().sum() for gradient in gradients])
            found = (joint(squares) / world_size()).sqrt()  # of the joint batch, of whose mean each has a share
            self.norms = 0.8 * self.norms + 0.2 * found if self.norms.any() else found
        weights = torch.tensor(list(self.shares.values()), device=image.device) / self.norms.clamp_min(1e-8)
        (gradient,) = torch.autograd.grad((weights * torch.stack(list(losses.values()))).sum(), image, retain_graph=True)
        told = {f"{name}_loss": loss.detach() for name, loss in losses.items()}
        told |= {f"{name}_hinge": loss.detach() for name, loss in hinges.items()}  # 2 is blind, 0 never wrong
        self.log_dict(told, on_epoch=True, on_step=False, batch_size=len(target), sync_dist=True)
        beyond = (completed - completed.clamp(0, 1)).square().sum() / joint(mask.sum()).clamp_min(1)
        loss = (completed * gradient.detach()).sum() + 10 * beyond + sum(hinges.values(), torch.zeros_like(beyond))
        if prediction.log_std is not None:
            loss = loss + 0.1 * deviation_loss(prediction.log_std.float(), prediction.image.float(), target, mask)
        return loss

    def _losses(
        self, image: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """What the completion minimises, in the order of its shares, and what the discriminators do."""
        losses, hinges, both = {"error": hole_l1_loss(image, target, mask)}, {}, mask.repeat(2, 1, 1, 1)
        if self.patch is not None:
            # one pass for both sides: the completion's losses are asked for their gradient by the image alone
            real, filled = self.patch(torch.cat([target, image]), both).split(len(target))
            hinges["patch"] = hinge_loss(real, filled, mask)
            losses["adversarial"] = adversarial_loss(filled, mask)
            losses["feature_matching"] = feature_matching_loss(real, filled, mask)
        if self.features is not None:
            with torch.no_grad():
                true = self.features(target)
            found = self.features(image)
            losses["perceptual"] = perceptual_distance(found, true, mask).mean()
            if self.projected is not None:
                pairs = [torch.cat([a, b.detach()]) for a, b in zip(true, found, strict=True)]
                real, filled = self.projected(pairs, both).split(len(target))
                hinges["projected"] = hinge_loss(real, filled, mask)
                losses["projected"] = adversarial_loss(self.projected(found, mask), mask)
        return {name: losses[name] for name in self.shares}, hinges

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        if gradient_clip_val:  # the discriminators' gradients are not for it to be measured by
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        judges: list[nn.Module] = [judge for judge in (self.patch, self.projected) if judge is not None]
        groups = [{"params": list(self.model.parameters()), "lr": self.recipe.learning_rate, "peak": self.recipe.learning_rate}]
        rate = self.recipe.discriminator_rate
        groups += [{"params": list(judge.parameters()), "lr": rate, "peak": rate} for judge in judges]
        # little momentum: each of the two aims at what the other moves
        return torch.optim.Adam(groups, betas=(0.5, 0.99))
