"""The configs of the released models: every parameter has the published name, shape and type."""

import re
from pathlib import Path

import pytest
import torch

from detection import models  # noqa: F401 - registers the networks
from detection.config import read_config
from detection.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
OWN = {  # that nobody else has released
    "city_perspective",
    "city_perspective_half",
    "city_r18",
    "city_r18_light",
    "city_r18_proposals",
    "city_r18_proposals_light",
    "raydn_r50_704_bs2_seq_428q_nui_speed_test",  # the published file of this name makes a model that cannot run
    "raydn_stream_petr_r50_704_bs2_seq_428q_nui_24e",
    "raydn_stream_petr_vov_800_bs2_seq_24e",
    "raydn_vov_800_bs2_seq_24e",
}
RELEASED = {
    path.stem: path
    for method in ("petr", "raydn", "repdetr3d", "streampetr")
    for path in sorted((CONFIGS / method).glob("*.py"))
    if path.stem not in OWN
}
# `keys_<config>.txt`, or in the recordings of distillation `keys_harmo_<folder>_<config>.txt`.
KEYS = re.compile(r"keys_(?:harmo_(?:distill3d|raydn|streampetr)_)?(?!harmo_|dy_)(\w+)")


@pytest.fixture(scope="module")
def recorded(recordings: Path) -> dict[str, list[Path]]:
    """Config -> the recorded files of its names and shapes."""
    files: dict[str, list[Path]] = {}
    for path in sorted(recordings.glob("golden*/keys_*.txt")):
        if (named := KEYS.fullmatch(path.stem)) and named[1] not in OWN:
            files.setdefault(named[1], []).append(path)
    return files


def test_there_is_a_config_for_every_released_model(recorded: dict[str, list[Path]]) -> None:
    assert set(RELEASED) == set(recorded)
    assert len(recorded) == 19


@pytest.mark.parametrize("name", RELEASED)
def test_names_shapes_and_types(recorded: dict[str, list[Path]], name: str) -> None:
    with torch.device("meta"):
        weights = MODELS.build(read_config(RELEASED[name])["model"]).state_dict()
    own = {key: ("x".join(map(str, one.shape)) or "scalar", str(one.dtype)[6:]) for key, one in weights.items()}
    for path in recorded[name]:
        rows = [line.split("\t") for line in path.read_text().splitlines() if line[0] != "#"]
        assert own == {key: (shape, dtype) for key, shape, dtype in rows}, path.name


@pytest.mark.parametrize("name", RELEASED)
def test_what_is_trained(recorded: dict[str, list[Path]], name: str) -> None:
    with torch.device("meta"):
        model = MODELS.build(read_config(RELEASED[name])["model"])
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    # Recorded before their initialisation took the gradient from the points that first frames begin with.
    never_trained = getattr(model.pts_bbox_head, "pseudo_reference_points", None)
    trained += 0 if never_trained is None else never_trained.weight.numel()
    for path in recorded[name]:
        counts = re.search(r"requires_grad (\d+)", path.read_text())
        assert counts is not None and trained == int(counts[1]), path.name


def test_the_readme_states_the_queries_of_each_config() -> None:
    readme = CONFIGS.with_name("README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+/\w+)`.*?\| (\d+)(?: \+ (\d+))? \|", readme, re.MULTILINE)
    assert len(rows) == 9
    for config, queries, carried in rows:
        head = read_config(CONFIGS / f"{config}.py")["model"]["pts_bbox_head"]
        found = (head["num_query"], (head.get("memory") or {}).get("num_propagated", 0))
        assert found == (int(queries), int(carried or 0)), config


@pytest.mark.parametrize("name", sorted(OWN))
def test_own_configs_can_be_built(name: str) -> None:
    paths = sorted(CONFIGS.rglob(f"{name}.py"))  # city_r18 is of several methods
    assert paths
    for path in paths:
        with torch.device("meta"):
            MODELS.build(read_config(path)["model"])


@pytest.mark.parametrize("path", sorted((CONFIGS / "raydn").glob("*.py")), ids=lambda path: path.stem)
def test_raydn_adds_no_weights(path: Path) -> None:
    """Each takes the mended strategy by one key, which adds no weights."""
    model = read_config(path)["model"]
    denoising = model["pts_bbox_head"]["denoising"]
    assert denoising["type"] == "RayDenoising" and not denoising.get("published")
    with torch.device("meta"):
        rays = MODELS.build(model).state_dict()
        standard = MODELS.build({**model, "pts_bbox_head": {**model["pts_bbox_head"], "denoising": None}}).state_dict()
    assert rays.keys() == standard.keys()
