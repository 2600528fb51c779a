"""A student beside its teacher: what trains, what is seen alike, what is remembered, what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from detection.checkpoints import read_checkpoint
from detection.config import read_config
from detection.distillation.detector import DistilledDetector
from detection.distillation.record import recorded
from detection.frames import FrameBatch
from detection.registry import MODELS
from detection.training.optimizer import build_optim_wrapper
from scenes import InputError

from ..models.simulated_gpu import simulated_gpu

Build = Callable[..., DistilledDetector]
MakeFrame = Callable[..., FrameBatch]

KL = dict(type="BalancedKL")
TERMS: dict[str, dict[str, Any]] = {
    "neck": dict(type="NeckFeatures", loss=KL),
    "encoded": dict(type="PositionEncodedFeatures", loss=dict(type="FeatureL2")),
    "correlation": dict(type="QueryFeatureCorrelation", loss=KL),
    "field": dict(type="BEVReceptiveField", num_cells=16, loss=KL),
    "boxes": dict(type="TeacherBoxes"),
}
IN_A_DENSE_HEAD = {name: term for name, term in TERMS.items() if name != "field"}
GRID_MASK = dict(model=dict(grid_mask=dict(prob=1.0, ratio=0.5)))
DENSE = dict(dense=True)


def _losses(model: DistilledDetector, *frames: FrameBatch) -> dict[str, Tensor]:
    losses = model(frames, mode="loss")
    assert isinstance(losses, dict)
    return losses


@pytest.mark.parametrize(("terms", "kind"), [(TERMS, {}), (IN_A_DENSE_HEAD, DENSE)], ids=["RepDETR3D", "StreamPETR"])
def test_terms_copy_nothing_to_a_gpu(
    build: Build, make_frame: MakeFrame, terms: dict[str, Any], kind: dict[str, Any]
) -> None:
    """Nor do they mix devices: teacher, student and terms lie on one."""
    model = build(terms, kind, kind)
    with simulated_gpu() as log:
        model.to("cuda:0")
        for number in range(2):
            frame = make_frame(number, num_boxes=(3, 1)).pin_memory().to("cuda:0")
            log.clear()
            losses = _losses(model, frame)
        assert not log.copies, (log.waits, log.copies)
        assert all(loss.isfinite().item() for loss in losses.values())


def test_a_teacher_is_seen_through_every_layer(build: Build, make_frame: MakeFrame) -> None:
    """Though a detector that only finds boxes decodes its last layer alone."""
    model = build(TERMS, {}, {})
    frame = make_frame(0, num_boxes=(3, 1))
    with torch.no_grad(), recorded(model.teacher) as records:
        model.teacher([frame], mode="predict")
    (record,) = records
    assert len(record.decoded) > 1
    assert len(record.outputs.predictions.logits) == len(record.outputs.predictions.codes) == len(record.decoded)


@pytest.mark.parametrize(
    ("terms", "student", "teacher"),
    [
        (TERMS, {}, {}),
        (TERMS, dict(denoising=dict(type="RayDenoising", groups=2)), {}),
        (TERMS, {}, dict(embed_dims=32, num_query=20, memory=dict(length=20, topk=9, num_propagated=9))),
        (IN_A_DENSE_HEAD, DENSE, DENSE),
        (dict(neck=dict(**TERMS["neck"], levels=(0,)), boxes=TERMS["boxes"]), {}, DENSE),
    ],
    ids=["RepDETR3D", "RayDN", "other sizes", "StreamPETR", "StreamPETR teaches RepDETR3D"],
)
def test_every_term_moves_the_student_and_nothing_else(
    build: Build, make_frame: MakeFrame, terms: dict[str, Any], student: dict[str, Any], teacher: dict[str, Any]
) -> None:
    model = build(terms, student, teacher)
    before = {name: value.clone() for name, value in model.teacher.state_dict().items()}
    for number in range(2):
        losses = _losses(model, make_frame(number, num_boxes=(3, 0)))
    parts = {name.removeprefix("loss_").rsplit("_", 1)[0] for name in losses if name.startswith("loss_")}
    assert parts == set(terms) - {"boxes"}
    for name, loss in losses.items():
        assert loss.isfinite(), name
    distilled = torch.stack([loss for name, loss in losses.items() if name.startswith("loss_")]).sum()
    distilled.backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert any(name.startswith("student.img_backbone") for name in trained)
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_student_like_its_teacher_has_nothing_to_learn(build: Build, make_frame: MakeFrame) -> None:
    terms = {name: term for name, term in TERMS.items() if name != "boxes"}
    model = build(terms, student=dict(base_channels=16, denoising=None))
    model.student.load_state_dict(model.teacher.state_dict())
    for module in model.student.modules():
        module.training = False  # else batch statistics and dropout tell them apart
    for number in range(2):
        losses = _losses(model, make_frame(number))
        for name, loss in losses.items():
            if name.startswith("loss_"):
                assert loss.item() == pytest.approx(0, abs=1e-5), name


def test_what_the_optimizer_and_checkpoints_see(build: Build, tmp_path: Path) -> None:
    model = build(TERMS, teacher=dict(embed_dims=32))
    names = {name.split(".")[0] for name in model.state_dict()}
    assert names == {"student", "terms"}  # maps of other channels have layers that train
    optimizer = build_optim_wrapper(model, dict(optimizer=dict(type="AdamW")), 1e-3, None).optimizer
    optimized = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert optimized == {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    assert not optimized & {id(parameter) for parameter in model.teacher.parameters()}
    torch.save({"state_dict": model.state_dict()}, tmp_path / "distilled.pth")
    model.student.load_state_dict(read_checkpoint(tmp_path / "distilled.pth"), strict=True)


def test_nothing_of_a_forward_pass_stays_in_the_model(build: Build, make_frame: MakeFrame) -> None:
    model = build(TERMS)
    names = set(model.state_dict())
    _losses(model, make_frame(0))
    assert set(model.state_dict()) == names
    assert not any(module._forward_hooks for module in [*model.modules(), *model.teacher.modules()])


def test_teacher_follows_to_another_precision_and_stays_in_evaluation(build: Build) -> None:
    model = build(TERMS).double().train()
    assert next(model.teacher.parameters()).dtype == torch.float64
    assert not any(module.training for module in model.teacher.modules())


def test_both_see_the_same_mask(build: Build, make_frame: MakeFrame) -> None:
    model = build({}, student=GRID_MASK, teacher=GRID_MASK)
    images = _seen_images(model, make_frame(0))
    assert bool((images["student"] == 0).any())
    torch.testing.assert_close(images["student"], images["teacher"], rtol=0, atol=0)


def test_published_distillation_masks_nothing(build: Build, make_frame: MakeFrame) -> None:
    frame = make_frame(0)
    images = _seen_images(build({}, student=GRID_MASK, mask_images=False), frame)
    for seen in images.values():
        torch.testing.assert_close(seen, frame.images, rtol=0, atol=0)


def test_a_larger_teacher_in_other_colours_sees_the_same(build: Build, make_frame: MakeFrame) -> None:
    colours = dict(mean=[103.5, 116.3, 123.7], std=[1.0, 1.0, 1.0], to_rgb=False)
    model = build({}, teacher=dict(output_size=(128, 192), colours=colours))
    frame = make_frame(0, size_px=(128, 192))
    images = _seen_images(model, frame)
    rgb = frame.images * torch.tensor([50.0, 60, 70]).view(3, 1, 1) + torch.tensor([100.0, 110, 120]).view(3, 1, 1)
    bgr_mean = torch.tensor([103.5, 116.3, 123.7]).view(3, 1, 1)
    torch.testing.assert_close(images["teacher"], rgb.flip(-3) - bgr_mean, rtol=1e-4, atol=1e-3)
    quarters = sum(frame.images[..., row::2, column::2] for row in (0, 1) for column in (0, 1)) / 4
    torch.testing.assert_close(images["student"], quarters)


def test_calibration_and_targets_shrink_with_the_images(build: Build, make_frame: MakeFrame) -> None:
    model = build({}, teacher=dict(output_size=(128, 192)))
    frames = []
    model.student.pts_bbox_head.register_forward_pre_hook(lambda _, arguments: frames.append(arguments[1]))
    _losses(model, make_frame(0, size_px=(128, 192)))
    wanted = make_frame(0)
    torch.testing.assert_close(frames[0].image_from_lidar, wanted.image_from_lidar)
    torch.testing.assert_close(frames[0].image_from_camera, wanted.image_from_camera)
    for found, expected in zip(frames[0].targets[0].cameras, wanted.targets[0].cameras, strict=True):
        torch.testing.assert_close(found.boxes_px, expected.boxes_px)
        torch.testing.assert_close(found.centers_px, expected.centers_px)


def test_teacher_remembers_what_it_would_remember_alone(build: Build, make_frame: MakeFrame) -> None:
    model = build(TERMS)
    for number in range(3):
        _losses(model, make_frame(number))
    assert model.memory is not None and model.teacher.memory is not None
    together = model.teacher.memory.state()
    model.teacher.memory.reset()
    for number in range(3):
        with torch.no_grad():
            model.teacher([make_frame(number)], mode="predict")
    for name, value in model.teacher.memory.state().items():
        assert torch.equal(value, together[name]), name


def test_memories_are_saved_and_forgotten_together(build: Build, make_frame: MakeFrame) -> None:
    model = build(TERMS)
    _losses(model, make_frame(0))
    assert model.memory is not None
    state = model.memory.state()
    assert {name.split(".")[0] for name in state} == {"student", "teacher"}
    after = _reproducible_losses(model, make_frame(1))
    model.memory.reset()
    assert model.memory.state() == {}
    model.memory.load_state(state)
    again = _reproducible_losses(model, make_frame(1))
    assert after.keys() == again.keys()
    for name, loss in after.items():
        assert torch.equal(loss, again[name]), name


def test_inference_is_the_students_and_ends_the_teachers_stream(build: Build, make_frame: MakeFrame) -> None:
    model = build(TERMS)
    _losses(model, make_frame(0))
    model.eval()
    with torch.no_grad():
        found = model([make_frame(1)], mode="predict")[0]
        model.student.memory.reset()
        alone = model.student([make_frame(1)], mode="predict")[0]
    assert torch.equal(found.boxes, alone.boxes)
    assert model.teacher.memory is not None and model.teacher.memory.state() == {}


def test_windows_are_compared_where_they_have_losses(build: Build, make_frame: MakeFrame) -> None:
    window = dict(model=dict(num_frame_losses=2, num_frame_head_grads=2, num_frame_backbone_grads=2))
    terms = dict(neck=TERMS["neck"])
    model = build(terms, student=window)
    with recorded(model.teacher) as seen:
        losses = _losses(model, *(make_frame(number) for number in range(4)))
    assert [record.frame.sample_tokens for record in seen] == [(f"sample-0-{number}",) for number in range(4)]
    torch.manual_seed(1)
    single = build(terms)
    alone = [_losses(single, make_frame(number))["loss_neck_0"] for number in range(4)]
    torch.testing.assert_close(losses["loss_neck_0"], alone[2] + alone[3], rtol=1e-3, atol=0)


def test_teacher_boxes_join_the_denoising_alone(build: Build, make_frame: MakeFrame) -> None:
    model = build(dict(boxes=TERMS["boxes"]))
    with recorded(model.student) as seen:
        losses = _losses(model, make_frame(0, num_boxes=(3, 0)))
    denoising = seen[0].outputs.denoising
    assert denoising is not None and len(denoising.labels) == 2 * 6  # groups, annotations and boxes of the teacher
    assert seen[0].frame.targets is not None and len(seen[0].frame.targets[0].labels) == 3
    plain = build({})
    assert losses["frame_0_loss_cls"].item() == pytest.approx(
        _losses(plain, make_frame(0, num_boxes=(3, 0)))["frame_0_loss_cls"].item(), rel=1e-4
    )


def test_frame_without_boxes(build: Build, make_frame: MakeFrame) -> None:
    losses = _losses(build(TERMS), make_frame(0, num_boxes=(0, 0)))
    assert all(loss.isfinite() for loss in losses.values())


def test_under_autocast(build: Build, make_frame: MakeFrame) -> None:
    model = build(TERMS)
    with torch.autocast("cpu", torch.bfloat16):
        losses = _losses(model, make_frame(0))
    torch.stack(list(losses.values())).sum().backward()
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(teacher=dict(num_classes=7)), "the student has 10 classes, the teacher 7"),
        (dict(teacher=dict(classes=[f"class {n}" for n in range(10)])), "the teacher class 0, class 1"),
        (dict(teacher=dict(output_size=(96, 160))), "images of 96x160 and of 64x96 do not divide"),
        (dict(terms=dict(field=TERMS["field"]), student=DENSE), "the student's StreamPETRHead attends to whole images"),
        (dict(terms=dict(neck=TERMS["neck"]), teacher=DENSE), "the student has levels (0, 1, 2), the teacher (0,)"),
        (dict(terms=dict(neck=dict(levels=(4,), **TERMS["neck"]))), "the student's head reads levels (0, 1, 2), not 4"),
        (dict(terms=dict(boxes=TERMS["boxes"]), student=dict(denoising=None)), "the student's head has no denoising"),
        (
            dict(terms=dict(correlation=dict(**TERMS["correlation"], published=True)), teacher=dict(num_query=9)),
            "the student has 12, the teacher 13",
        ),
        (dict(terms=dict(field=dict(**TERMS["field"], layers=(5,)))), "layers (5,), but the student has 2"),
    ],
)
def test_what_does_not_fit_is_refused(build: Build, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        build(**{"terms": {}, **changes})
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_checkpoint_of_another_teacher_is_refused(
    build: Build, write_config: Callable[..., str], tmp_path: Path
) -> None:
    other = MODELS.build(read_config(write_config("other", base_channels=4)).model)
    torch.save(other.state_dict(), tmp_path / "other.pth")
    model = build(TERMS, teacher_checkpoint=str(tmp_path / "other.pth"))
    with pytest.raises(InputError, match=r"other\.pth: .* of another shape"):
        model.init_weights()
    with pytest.raises(InputError, match=r"teacher\.pth"):
        build({}).init_weights()


def test_images_of_another_size_are_refused(build: Build, make_frame: MakeFrame) -> None:
    with pytest.raises(InputError, match=r"the data has images of 128x192, .* needs 64x96"):
        _losses(build({}), make_frame(0, size_px=(128, 192)))


def _reproducible_losses(model: DistilledDetector, frame: FrameBatch) -> dict[str, Tensor]:
    """Losses with the same noise and dropout every time; batch statistics are frozen."""
    torch.manual_seed(5)
    return _losses(model, frame)


def _seen_images(model: DistilledDetector, frame: FrameBatch) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}
    for name, detector in (("student", model.student), ("teacher", model.teacher)):

        def keep(_: Any, arguments: tuple[Tensor], name: str = name) -> None:
            seen[name] = arguments[0].unflatten(0, frame.images.shape[:2])

        detector.img_backbone.register_forward_pre_hook(keep)
    _losses(model, frame)
    return seen
