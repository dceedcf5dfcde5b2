"""Training for looks: a perceptual loss and discriminators, each with a share of the gradient.

The losses have different scales. So the recipe gives no weights but shares: the gradient of each loss by the image is divided
by its norm, measured every NORM_INTERVAL steps, and multiplied by its share.
"""

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
from .losses import hole_l1_loss, std_loss
from .modules import CompletionModule, unclamped
from .recipe import Recipe

NORM_INTERVAL = 50  # steps between two measurements of the norms of the losses' gradients


class AdversarialModule(CompletionModule):
    """A completion model and the discriminators of its fills, trained in one step (Goodfellow et al. 2014)."""

    norms: torch.Tensor  # of each loss's gradient, averaged over measurements

    def __init__(self, model: CompletionModel, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        self.shares = recipe.gradient_shares
        self.patch = PatchDiscriminator() if self.shares.keys() & {"adversarial", "feature_matching"} else None
        self.projected = ProjectedDiscriminator() if "projected" in self.shares else None
        self.features = load_features() if self.shares.keys() & {"projected", "perceptual"} else None
        self.register_buffer("norms", torch.zeros(len(self.shares)))
        self.to(memory_format=torch.channels_last)

    def training_loss(self, prediction: Prediction, batch: dict[str, Any]) -> torch.Tensor:
        """Sum the discriminators' losses and a term whose gradient is that of the completion's losses in their shares."""
        target, mask = batch["target"], batch["mask"]
        completed = torch.where(mask > 0, unclamped(prediction).float(), target)
        image = completed.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
        losses, hinges = self._losses(image, target, mask)
        gradient = self._shared_gradient(losses, image)
        figures = {f"{name}_loss": loss.detach() for name, loss in losses.items()}
        figures |= {f"{name}_hinge": loss.detach() for name, loss in hinges.items()}  # 2: all scores are 0; 0: never wrong
        self.log_dict(figures, on_epoch=True, on_step=False, batch_size=len(target), sync_dist=True)
        out_of_range = (completed - completed.clamp(0, 1)).square().sum() / joint(mask.sum()).clamp_min(1)
        loss = (completed * gradient.detach()).sum() + 10 * out_of_range + sum(hinges.values(), torch.zeros_like(out_of_range))
        if prediction.log_std is not None:
            loss = loss + 0.1 * std_loss(prediction.log_std.float(), prediction.image.float(), target, mask)
        return loss

    def _shared_gradient(self, losses: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        """The gradient by `image` to which each loss contributes its share, whatever its own scale."""
        if self.global_step % NORM_INTERVAL == 0:
            gradients = [torch.autograd.grad(loss, image, retain_graph=True)[0] for loss in losses.values()]
            squares = torch.stack([gradient.float().square().sum() for gradient in gradients])
            norms = (joint(squares) / world_size()).sqrt()  # of the joint batch, over which each loss is a mean
            self.norms = 0.8 * self.norms + 0.2 * norms if self.norms.any() else norms
        weights = torch.tensor(list(self.shares.values()), device=image.device) / self.norms.clamp_min(1e-8)
        (gradient,) = torch.autograd.grad((weights * torch.stack(list(losses.values()))).sum(), image, retain_graph=True)
        return gradient

    def _losses(
        self, image: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """The completion's losses, in the order of their shares, and the discriminators' losses."""
        losses, hinges, both = {"error": hole_l1_loss(image, target, mask)}, {}, mask.repeat(2, 1, 1, 1)
        if self.patch is not None:
            # one pass for both sides: the gradient of the completion's losses is taken by the image alone
            real, filled = self.patch(torch.cat([target, image]), both).split(len(target))
            hinges["patch"] = hinge_loss(real, filled, mask)
            losses["adversarial"] = adversarial_loss(filled, mask)
            losses["feature_matching"] = feature_matching_loss(real, filled, mask)
        if self.features is not None:
            with torch.no_grad():
                real_features = self.features(target)
            filled_features = self.features(image)
            losses["perceptual"] = perceptual_distance(filled_features, real_features, mask).mean()
            if self.projected is not None:
                pairs = [torch.cat([a, b.detach()]) for a, b in zip(real_features, filled_features, strict=True)]
                real, filled = self.projected(pairs, both).split(len(target))
                hinges["projected"] = hinge_loss(real, filled, mask)
                losses["projected"] = adversarial_loss(self.projected(filled_features, mask), mask)
        return {name: losses[name] for name in self.shares}, hinges

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        if gradient_clip_val:  # the norm of the completion alone, without the discriminators
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        discriminators: list[nn.Module] = [module for module in (self.patch, self.projected) if module is not None]
        groups = [{"params": list(self.model.parameters()), "lr": self.recipe.learning_rate, "peak": self.recipe.learning_rate}]
        rate = self.recipe.discriminator_rate
        groups += [{"params": list(module.parameters()), "lr": rate, "peak": rate} for module in discriminators]
        # little momentum, because each side aims at a target that the other side moves
        return torch.optim.Adam(groups, betas=(0.5, 0.99))
