from __future__ import annotations

import json
import shlex

import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure

from deblur.errors import DeblurError
from deblur.run_lock import alone_in
from deblur.train import parse_training_args
from experiments.ablation import VARIANTS, build_parser, default_variants, main, plot, variant_options


def test_variants_share_all_but_one_thing(tmp_path):
    options = build_parser().parse_args(["--steps", "3", "--sharp", "x", "--set", "frames=2"])
    assert set(variant_options(options, "full", tmp_path).set) == {"frames=2"}
    assert set(variant_options(options, "no-tcn", tmp_path).set) == {"frames=2", "tcn=false"}
    no_frequency = variant_options(options, "no-frequency", tmp_path)
    assert (no_frequency.frequency, no_frequency.smoothness, no_frequency.seed) == (
        0.0,
        options.smoothness,
        options.seed,
    )
    assert options.frequency > 0
    assert "variants" not in vars(no_frequency), "the training goes on by deblur.train as well"
    options.freeze_norm = True
    frozen = [variant_options(options, name, tmp_path).freeze_norm for name in ("full", "no-eagr")]
    assert frozen == [True, False]  # without EAGR there is no batch norm


def test_ablation_writes_a_table_and_a_plot_and_goes_on_where_it_stopped(training_arguments, tmp_path, capsys):
    assert main([*training_arguments, "--steps", "1", "--variants", "full", "no-tcn"]) == 0
    folder = tmp_path / "runs" / "ablation" / "ablation"
    table = pd.read_csv(folder / "ablation.csv")
    assert list(table["variant"]) == ["full", "no-tcn"]
    assert table["parameters"][1] < table["parameters"][0]
    assert (table["steps"] == 1).all()
    assert (folder / "ablation.png").stat().st_size > 1000
    assert (folder / "ablation.pdf").is_file()
    assert "no-tcn" in capsys.readouterr().out
    metrics = folder / "train" / "full" / "metrics.json"
    whole = metrics.read_bytes()
    metrics.write_bytes(whole[:50])
    again = [*training_arguments, "--steps", "1", "--variants", "full", "--resume", "auto"]
    assert main(again) == 1
    assert "metrics.json is damaged: move it away" in capsys.readouterr().err
    metrics.write_bytes(whole)
    changed = (folder / "train" / "full" / "metrics.json").stat().st_mtime_ns
    assert (
        main([*training_arguments, "--steps", "1", "--variants", "full", "no-smoothness", "--resume", "auto", "--json"])
        == 0
    )
    assert (folder / "train" / "full" / "metrics.json").stat().st_mtime_ns == changed
    printed = json.loads(capsys.readouterr().out)
    assert [row["variant"] for row in printed["variants"]] == ["full", "no-tcn", "no-smoothness"]
    assert list(pd.read_csv(folder / "ablation.csv")["variant"]) == ["full", "no-tcn", "no-smoothness"]
    config = yaml.safe_load((folder / "train" / "no-smoothness" / "config.yaml").read_text())
    assert config["smoothness"] == 0.0


def test_an_ablation_goes_on_by_its_own_options(training_arguments, tmp_path, monkeypatch, capsys):
    assert main([*training_arguments, "--steps", "1", "--variants", "full"]) == 0
    folder = tmp_path / "runs" / "ablation" / "ablation"
    assert "--resume auto" not in capsys.readouterr().err  # which is how a variant that was begun goes on
    monkeypatch.chdir(tmp_path)
    assert main(["--resume", "auto", "--variants", "no-tcn", "--device", "cpu"]) == 0
    assert main(["--resume", str(folder), "--variants", "no-smoothness", "--device", "cpu"]) == 0
    assert list(pd.read_csv(folder / "ablation.csv")["variant"]) == ["full", "no-tcn", "no-smoothness"]
    assert main(["--resume", str(folder), "--seed", "3", "--variants", "full"]) == 1
    assert "other options (--seed)" in capsys.readouterr().err


def test_an_ablation_at_work_is_not_gone_on_with_beside_it(training_arguments, tmp_path, capsys):
    assert main([*training_arguments, "--steps", "1", "--variants", "no-tcn"]) == 0
    folder = tmp_path / "runs" / "ablation" / "ablation"
    with alone_in(folder):
        assert main(["--resume", str(folder), "--variants", "full"]) == 1
    assert f"another process is at work in {folder}" in capsys.readouterr().err


def test_variants_of_other_options_do_not_join_a_table(training_arguments, tmp_path, capsys):
    assert main([*training_arguments, "--steps", "1", "--variants", "full"]) == 0
    folder = tmp_path / "runs" / "ablation" / "ablation"
    before = {file: file.read_bytes() for file in folder.glob("*.*")}
    again = [*training_arguments, "--steps", "2", "--seed", "3", "--variants", "no-tcn", "--resume", "auto"]
    assert main(again) == 1
    assert "other options (--seed, --steps)" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in folder.glob("*.*")} == before
    assert not (folder / "train" / "no-tcn").exists()
    # What changes no figure may differ; what does not say its options is left alone.
    again = [*training_arguments, "--steps", "1", "--threads", "2", "--variants", "full", "--resume", "auto"]
    assert main(again) == 0
    (folder / "config.yaml").unlink()
    assert main(again) == 1
    assert "give another --name" in capsys.readouterr().err


def test_variants_by_the_clock_share_what_changes_the_pace(training_arguments, tmp_path, monkeypatch, capsys):
    score = {"step": 1, "minutes": 0.1, "parameters": 2, "validation": {"shake:8": {"gain": 0.5}}}
    trained = []
    monkeypatch.setattr("deblur.training.loop.train", lambda options: trained.append(options) or score)
    begin = [*training_arguments, "--workers", "1", "--memory-gb", "2", "--samples", "3", "--variants", "full"]
    for limit in ("--max-minutes", "--steps"):
        assert main([*begin, limit, "1", "--name", limit.strip("-")]) == 0
    clock, steps = (str(tmp_path / "runs" / "ablation" / name) for name in ("max-minutes", "steps"))
    assert main(["--resume", clock, "--variants", "no-tcn"]) == 0
    told = [(one.device, one.threads, one.workers, one.memory_gb, one.samples) for one in trained]
    assert told == [("cpu", 1, 1, 2.0, 3)] * 3
    others = ["--threads", "2", "--workers", "0", "--memory-gb", "1", "--variants", "no-tcn", "--samples", "1"]
    capsys.readouterr()
    assert main(["--resume", clock, *others]) == 1
    assert "other options (--memory-gb, --threads, --workers)" in capsys.readouterr().err
    assert main(["--resume", steps, *others]) == 0
    # A run that was begun before these were recorded goes on.
    config = tmp_path / "runs" / "ablation" / "max-minutes" / "config.yaml"
    recorded = yaml.safe_load(config.read_text())
    unsaid = ("device", "threads", "workers", "memory_gb", "samples", "tensorboard")
    config.write_text(yaml.safe_dump({key: value for key, value in recorded.items() if key not in unsaid}))
    assert main(["--resume", clock, "--device", "cpu", *others]) == 0


def test_an_ablation_goes_on_in_the_folder_that_is_named_and_in_no_other(training_arguments, tmp_path, capsys):
    given = [*training_arguments, "--steps", "1", "--variants", "full"]
    assert main(given) == 0
    assert main(given) == 0
    second = tmp_path / "runs" / "ablation" / "ablation-2"
    assert main([*given, "no-tcn", "--resume", str(second)]) == 0
    assert list(pd.read_csv(second / "ablation.csv")["variant"]) == ["full", "no-tcn"]
    assert not (tmp_path / "runs" / "ablation" / "ablation-3").exists()
    capsys.readouterr()
    assert main([*given, "--resume", str(tmp_path / "photos")]) == 1
    assert capsys.readouterr().err.strip().endswith("photos: no config.yaml there; name an ablation's folder, or auto")
    assert main([*given, "--resume", str(second / "train" / "full")]) == 1
    told = capsys.readouterr().err
    assert f"{second / 'train' / 'full'} is a training run and no ablation: name the folder of one" in told


def test_a_variant_that_would_learn_nothing_is_refused_before_any_is_trained(training_arguments, tmp_path, capsys):
    given = [*training_arguments, "--steps", "1", "--variants", "full", "no-frequency", "--content", "0"]
    assert main(given) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("error: no-frequency cannot be trained: --content 0 --frequency 0 leaves nothing")
    assert not (tmp_path / "runs" / "ablation").exists()


def test_a_variant_that_cannot_be_begun_is_refused_before_any_is_trained(training_arguments, tmp_path, capsys):
    assert main([*training_arguments, "--steps", "1", "--variants", "full"]) == 0
    weights = str(tmp_path / "runs" / "ablation" / "ablation" / "train" / "full" / "weights" / "best.safetensors")
    given = [*training_arguments, "--steps", "1", "--init", weights, "--name", "begun", "--variants", "full"]
    assert main([*given, "no-tcn", "no-eagr"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("error: no-tcn, no-eagr cannot be trained: --init")
    assert not (tmp_path / "runs" / "ablation" / "begun").exists()
    assert main([*given, "no-smoothness"]) == 0


def test_variants_that_are_done_are_in_the_table_whatever_happens_to_the_next(
    training_arguments, tmp_path, monkeypatch
):
    def fails_at_the_second(options):
        if options.name != "full":
            raise DeblurError("the disk is full")
        return {"step": 1, "minutes": 0.1, "parameters": 2, "validation": {"shake:8": {"gain": 0.5}}}

    monkeypatch.setattr("deblur.training.loop.train", fails_at_the_second)
    assert main([*training_arguments, "--steps", "1", "--variants", "full", "no-tcn"]) == 1
    assert list(pd.read_csv(tmp_path / "runs" / "ablation" / "ablation" / "ablation.csv")["variant"]) == ["full"]


def test_a_variant_killed_before_its_first_checkpoint_begins_anew_and_stays(training_arguments, tmp_path):
    folder = tmp_path / "runs" / "ablation" / "ablation"
    (folder / "train" / "full" / "weights").mkdir(parents=True)
    given = [*training_arguments, "--steps", "1", "--resume", "auto", "--variants"]
    assert main([*given, "full"]) == 0
    assert list(pd.read_csv(folder / "ablation.csv")["variant"]) == ["full"]
    made = (folder / "train" / "full-2" / "metrics.json").stat().st_mtime_ns
    assert main([*given, "no-smoothness"]) == 0
    assert list(pd.read_csv(folder / "ablation.csv")["variant"]) == ["full", "no-smoothness"]
    assert main([*given, "full"]) == 0  # it is done, so it is not trained again
    assert (folder / "train" / "full-2" / "metrics.json").stat().st_mtime_ns == made
    assert sorted(path.name for path in (folder / "train").iterdir()) == ["full", "full-2", "no-smoothness"]


def test_an_ablation_says_that_it_found_none_to_go_on_with(training_arguments, tmp_path, monkeypatch, capsys):
    score = {"step": 1, "minutes": 0.1, "parameters": 2, "validation": {"shake:8": {"gain": 0.5}}}
    monkeypatch.setattr("deblur.training.loop.train", lambda _: score)
    folder = tmp_path / "runs" / "ablation"
    given = [*training_arguments, "--steps", "1", "--resume", "auto", "--variants", "full"]
    assert main(given) == 0
    told = f"--resume auto: no run named ablation in {folder} was saved, and {folder / 'ablation'} is a new one"
    assert told in capsys.readouterr().err
    assert main(given) == 0
    assert "is a new one" not in capsys.readouterr().err


@pytest.mark.parametrize("data", [["--pairs", "x"], ["--sharp", "x", "--hold-out", "0"]])
def test_an_ablation_that_would_measure_nothing_is_refused(tmp_path, capsys, data):
    assert main(["--steps", "1", *data, "--output", str(tmp_path / "runs")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: nothing is validated on, which is all that an ablation compares: give --val-pairs")
    assert not (tmp_path / "runs").exists()


def test_a_lone_picture_of_which_none_can_be_held_out_is_refused(training_arguments, tmp_path, capsys):
    for file in sorted((tmp_path / "photos").iterdir())[1:]:
        file.unlink()
    assert main([*training_arguments, "--steps", "1"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: nothing is validated on")
    assert not (tmp_path / "runs").exists()


def test_several_processes_are_refused(training_arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([*training_arguments, "--steps", "1"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: an ablation trains in one process, and 2 were started: leave out torchrun")
    assert not (tmp_path / "runs").exists()


def test_a_gain_that_is_none_leaves_no_bar(tmp_path):
    rows = [{"variant": "full", "gain a": 0.5, "gain b": None}, {"variant": "no-tcn", "gain a": None, "gain b": None}]
    plot(pd.DataFrame(rows), tmp_path)
    assert (tmp_path / "ablation.png").stat().st_size > 1000


def test_a_bar_stands_beside_the_name_of_its_variant(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    rows = [{"variant": "full", "gain a": 0.5, "gain b": 0.9}, {"variant": "no-tcn", "gain a": 0.2, "gain b": 0.3}]
    plot(pd.DataFrame(rows), tmp_path)
    (ax,) = saved[0].axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    drawn = [
        {names[round(bar.get_y() + bar.get_height() / 2)]: bar.get_width() for bar in bars} for bars in ax.containers
    ]
    assert [bars.get_label() for bars in ax.containers] == ["a", "b"]
    assert drawn == [{"full": 0.5, "no-tcn": 0.2}, {"full": 0.9, "no-tcn": 0.3}]


def test_every_part_of_the_paper_can_be_switched_off():
    assert set(VARIANTS) == {
        "full",
        *(f"no-{part}" for part in ("msfd", "tcn", "eagr", "fam", "msff", "guide", "frequency", "smoothness")),
    }


def test_the_guide_is_switched_off_where_there_is_one(tmp_path):
    parser = build_parser()
    plain = parse_training_args(parser, ["--steps", "3", "--sharp", "x"])
    assert default_variants(plain) == [name for name in VARIANTS if name != "no-guide"]
    guided = parser.parse_args(["--steps", "3", "--sharp", "x", "--network", "mstsgm-guided", "--context", "8"])
    guided.path_share = 0.3
    assert default_variants(guided) == list(VARIANTS)
    without = variant_options(guided, "no-guide", tmp_path)
    assert (without.set, without.context, without.estimator, without.path_share) == (["guide=false"], 0, None, 0)


@pytest.mark.parametrize(
    ("given", "without"),
    [
        (["--smoothness", "0"], {"no-guide", "no-smoothness"}),
        (["--set", "eagr=false", "msff=false"], {"no-guide", "no-eagr", "no-msff"}),
        (["--set", "tcn=false"], {"no-guide", "no-tcn", "no-smoothness"}),
        (["--set", "frames=1"], {"no-guide", "no-smoothness"}),
    ],
)
def test_what_is_off_is_not_switched_off(training_arguments, capsys, given, without):
    options = parse_training_args(build_parser(), ["--steps", "3", "--sharp", "x", *given])
    assert {*VARIANTS} - {*default_variants(options)} == without
    off = min(without - {"no-guide"})
    assert main([*training_arguments, "--steps", "1", *given, "--variants", "full", off]) == 1
    assert f"{off} cannot be trained: {off[3:]} is off as it is" in capsys.readouterr().err


def test_the_ancestor_has_none_of_the_parts():
    options = parse_training_args(build_parser(), ["--steps", "3", "--sharp", "x", "--network", "mimo-unet"])
    assert default_variants(options) == ["full", "no-frequency"]


def test_who_stops_an_ablation_is_told_how_all_of_it_goes_on(training_arguments, tmp_path, monkeypatch, capsys):
    def stopped(options):
        raise KeyboardInterrupt(f"saved; go on with --resume {options.output}/train/{options.name}")

    monkeypatch.setattr("deblur.training.loop.train", stopped)
    assert main([*training_arguments, "--steps", "1", "--variants", "full", "no-tcn"]) == 130
    folder = tmp_path / "runs" / "ablation" / "ablation"
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("interrupted: go on with --resume ")
    assert shlex.split(line)[4:] == ["--resume", str(folder), "--variants", "full", "no-tcn"]
    monkeypatch.undo()
    assert main(shlex.split(line)[4:]) == 0
    assert list(pd.read_csv(folder / "ablation.csv")["variant"]) == ["full", "no-tcn"]


@pytest.mark.parametrize("given", ["--sharp x", "--steps 2", "--steps 2 --sharp x --variants no"])
def test_usage_errors_exit_2(given):
    with pytest.raises(SystemExit) as stopped:
        main(given.split())
    assert stopped.value.code == 2
