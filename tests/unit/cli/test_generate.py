from pathlib import Path

import pytest

from tradefleet.cli.generate import GENERATORS, collect, differences, main, write

REPOSITORY = Path(__file__).resolve().parents[3]


def test_what_is_committed_is_what_the_types_say():
    files, owned = collect(list(GENERATORS))
    assert differences(REPOSITORY, files, owned) == []


def test_a_check_of_an_empty_folder_names_what_is_missing_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--check", "resources"], root=tmp_path) == 1
    assert "crds/tradefleet.dev_tradingbots.yaml is missing: run `make generate`" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_passes_the_check(tmp_path: Path):
    assert main(["resources"], root=tmp_path) == 0
    assert main(["--check", "resources"], root=tmp_path) == 0


def test_a_changed_file_and_a_left_over_one_fail_the_check(tmp_path: Path):
    main(["resources"], root=tmp_path)
    (tmp_path / "crds" / "tradefleet.dev_feeds.yaml").write_text("other")
    (tmp_path / "crds" / "tradefleet.dev_gone.yaml").write_text("old")
    assert differences(tmp_path, *collect(["resources"])) == [
        "crds/tradefleet.dev_feeds.yaml differs from what the types say",
        "crds/tradefleet.dev_gone.yaml is not generated any more",
    ]


def test_writing_removes_what_is_not_generated_any_more_and_leaves_the_rest(tmp_path: Path):
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "old.yaml").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    write(tmp_path, {"crds/new.yaml": "new"}, ["crds/*"])
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["crds/new.yaml", "mine.txt"]


def test_a_file_that_is_right_is_not_touched(tmp_path: Path):
    write(tmp_path, {"a.txt": "same"}, [])
    before = (tmp_path / "a.txt").stat().st_mtime_ns
    write(tmp_path, {"a.txt": "same"}, [])
    assert (tmp_path / "a.txt").stat().st_mtime_ns == before


def test_an_unknown_generator_is_refused_with_what_there_is(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as caught:
        main(["zebra"])
    assert caught.value.code == 2
    assert "there is no generator zebra; there are resources, messages" in capsys.readouterr().err
