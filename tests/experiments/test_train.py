from __future__ import annotations

import csv

import pytest
from PIL import Image
from skimage import data as photographs

from experiments.train import main


@pytest.fixture
def arguments(tmp_path):
    for index in range(3):
        file = tmp_path / "photos" / f"{index}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(photographs.astronaut()[index * 60 : index * 60 + 100, 100:240]).save(file)
    network = "--set widths=[16,20,24] encoder_blocks=[1,1,1] decoder_blocks=[1,1,1] --threads 1 --device cpu"
    data = f"--sharp {tmp_path / 'photos'} --crop 32 --batch 2 --val-limit 1 --val-side 48 --val-blur shake:8"
    return [*network.split(), *data.split(), "--output", str(tmp_path / "runs")]


def test_the_detector_teaches_from_its_step_on_and_its_distance_is_logged(arguments, tmp_path, shared):
    given = ["--detector-loss", str(shared / "weights" / "yolo26n.pt"), "--detector-weight", "0.2"]
    given += ["--detector-from", "1", "--steps", "2", "--log-every", "1"]
    assert main([*arguments, *given]) == 0
    with (tmp_path / "runs" / "train" / "deblur" / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows if row["name"] == "detector"] == ["2"]
    logged = {row["name"]: float(row["value"]) for row in rows if row["kind"] == "validation"}
    assert logged["shake:8 distance_input"] > 0
    assert logged["shake:8 distance_restored"] > 0


def test_without_a_detector_it_is_plain_training(arguments, tmp_path):
    assert main([*arguments, "--steps", "1"]) == 0
    assert "distance" not in (tmp_path / "runs" / "train" / "deblur" / "results.csv").read_text()


def test_a_detector_that_is_not_there_is_one_line(arguments, capsys):
    assert main([*arguments, "--steps", "1", "--detector-loss", "nowhere.pt"]) == 1
    assert "nowhere.pt" in capsys.readouterr().err.strip().splitlines()[-1]
