"""Lightning modules: one step of training, and one of validation."""

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import nn
from torch.nn import functional as F

from ..evaluation.metrics import psnr, split_error, ssim
from ..models import CompletionModel, Prediction, model_config
from .losses import combined_loss, hole_l1_loss, hole_rmse_loss, hole_ssim_loss, mask_loss, std_loss
from .recipe import Recipe, recipe_values

HOLE_LOSSES = {"hole_l1": hole_l1_loss, "hole_rmse": hole_rmse_loss}


class RecipeModule(L.LightningModule):
    """One model under one recipe: the optimiser, the recipe in checkpoints, new occlusions at each epoch."""

    data: Sequence[str] = ()  # the folders of the training data, as they were named

    def __init__(self, model: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.model, self.recipe = model, recipe

    def on_train_epoch_start(self) -> None:
        dataset = self.trainer.train_dataloader.dataset  # type: ignore[union-attr]
        for source in getattr(dataset, "datasets", [dataset]):
            if hasattr(source, "set_epoch"):
                source.set_epoch(self.current_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["recipe"] = recipe_values(self.recipe, model_config(self.model))
        checkpoint["data"] = self.data

    def configure_optimizers(self) -> torch.optim.Optimizer:
        rate, decay, betas = self.recipe.learning_rate, self.recipe.weight_decay, (0.9, self.recipe.beta2)
        if not decay:
            return torch.optim.Adam([{"params": list(self.parameters()), "peak": rate}], lr=rate, betas=betas)
        kernels = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        groups = [
            {"params": kernels, "weight_decay": decay, "peak": rate},
            {"params": others, "weight_decay": 0.0, "peak": rate},
        ]
        return torch.optim.AdamW(groups, lr=rate, betas=betas)


class CompletionModule(RecipeModule):
    """A completion model under one recipe."""

    model: CompletionModel

    def __init__(self, model: CompletionModel, recipe: Recipe) -> None:
        super().__init__(model, recipe)
        if recipe.trainable == "decoder":
            model.requires_grad_(False)
            for module in model.fine_grids():
                module.requires_grad_(True)
        # some images of the last validation (N, 3, 3, H, W): occluded, completed, original
        self.first_images: torch.Tensor | None = None

    def loss(self, prediction: Prediction, batch: dict[str, Any]) -> torch.Tensor:
        """Compute the recipe's loss of the image, plus those of the mask and the std if the model predicts them."""
        with torch.autocast(self.device.type, enabled=False):
            return self._loss(Prediction(*_floats(prediction)), batch)

    def _loss(self, prediction: Prediction, batch: dict[str, Any]) -> torch.Tensor:
        recipe, target, mask = self.recipe, batch["target"], batch["mask"]
        if recipe.trainable == "detector" and prediction.mask_logits is not None:
            return mask_loss(prediction.mask_logits, mask)
        if recipe.loss == "combined":
            loss = combined_loss(prediction.image, target, recipe.mse_weight, recipe.ssim_weight)
        else:
            mean = unclamped(prediction)
            loss = HOLE_LOSSES[recipe.loss](mean, target, mask)
            if recipe.structure_weight:
                loss = loss + recipe.structure_weight * hole_ssim_loss(mean, target, mask)
        if prediction.mask_logits is not None:
            loss = loss + 0.1 * mask_loss(prediction.mask_logits, mask)
        if prediction.log_std is not None:
            loss = loss + 0.1 * std_loss(prediction.log_std, prediction.image, target, mask)
        return loss

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        image, mask, model = batch["image"].contiguous(memory_format=torch.channels_last), batch["mask"], self.model
        if self.recipe.trainable == "detector":
            prediction = Prediction(image, model.detect(image))
        else:
            prediction = model.fill(image, mask, *self.guide(batch["target"]))
            if model.detects and self.recipe.trainable == "all":
                prediction = prediction._replace(mask_logits=model.detect(image))
        loss = self.training_loss(prediction, batch)
        self.log("train_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(image), sync_dist=True)
        return loss

    def training_loss(self, prediction: Prediction, batch: dict[str, Any]) -> torch.Tensor:
        """Compute what a step minimises, a scalar."""
        return self.loss(prediction, batch)

    def guide(self, target: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Draw guides for training: the target reduced to between an eighth and a half of its side, with noise.

        Args:
            target: (B, 3, H, W).

        Returns:
            The guides (B, 3, h, h), and which images of the batch get them, bool (B,); None and None if the recipe has no
            guides.
        """
        if not self.recipe.guide_prob:
            return None, None
        generator = torch.Generator().manual_seed(self.recipe.seed + self.global_step)
        rank, world = self.trainer.global_rank, self.trainer.world_size
        count = world * len(target)  # drawn for the joint batch, of which each process has every `world`-th image
        guided = torch.rand(count, generator=generator)[rank::world] < self.recipe.guide_prob
        side = max(1, round(min(target.shape[-2:]) * 2 ** (-1 - 2 * float(torch.rand((), generator=generator)))))
        coarse = F.adaptive_avg_pool2d(target, side)
        strength = 0.08 * torch.rand(count, 1, 1, 1, generator=generator)
        noise = (strength * torch.randn(count, *coarse.shape[1:], generator=generator))[rank::world]
        return (coarse + noise.to(coarse.device)).clamp(0, 1), guided.to(coarse.device)

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        image, target, mask = batch["image"].contiguous(memory_format=torch.channels_last), batch["target"], batch["mask"]
        prediction = self.model(image, mask)
        if self.model.detects and self.recipe.trainable in ("all", "detector"):
            prediction = prediction._replace(mask_logits=self.model.detect(image))
        with torch.autocast(self.device.type, enabled=False):
            self._score(Prediction(*_floats(prediction)), batch)
        if index == 0:
            self.first_images = torch.stack([image, prediction.image, target], dim=1)[:8].float().cpu()

    def _score(self, prediction: Prediction, batch: dict[str, Any]) -> None:
        """Log the figures of one batch of validation."""
        target, mask = batch["target"], batch["mask"]
        pasted = torch.where(mask > 0, prediction.image, target)
        structure, texture = split_error(255 * (pasted - target), mask)  # in grey levels of 8 bits
        figures = {
            "val_loss": self.loss(prediction, batch),
            "hole_psnr": psnr(pasted, target, mask).nanmean(),
            "raw_psnr": psnr(prediction.image, target).mean(),
            "psnr": psnr(pasted, target).mean(),
            "ssim": ssim(pasted, target).mean(),
            "structure_rmse": structure.nanmean(),
            "texture_rmse": texture.nanmean(),
        }
        if prediction.mask_logits is not None:
            detected, true = prediction.mask_logits > 0, mask > 0
            union = (detected | true).sum(dim=(1, 2, 3)).clamp_min(1)
            figures["mask_iou"] = ((detected & true).sum(dim=(1, 2, 3)) / union).mean()
        self.log_dict(figures, on_epoch=True, on_step=False, batch_size=len(target), sync_dist=True)


def unclamped(prediction: Prediction) -> torch.Tensor:
    """Return the image for losses, in which a pixel outside [0, 1] still gets a gradient."""
    return prediction.image if prediction.mean is None else prediction.mean


def _floats(prediction: Prediction) -> list[Any]:
    """The fields in float32, because differences of bf16 numbers are mostly rounding errors."""
    return [value if value is None else value.float() for value in prediction]
