import click
import pytest
from click.testing import CliRunner

from omniflow.cli import main
from omniflow.cli_export import export
from omniflow.export import command


def _run(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)], catch_exceptions=False)


@pytest.mark.parametrize(
    ("form", "files"),
    [
        ("hepdata", {"submission", "submission.tar.gz"}),
        ("pyhf", {"x.json", "y.json", "joint.json", "notes.json"}),
        ("root", {"histograms.root"}),
    ],
)
def test_each_format_is_written_into_the_study(study, form, files):
    found = _run(study.folder, "--as", form)
    assert found.exit_code == 0, found.output
    folder = study.folder / "export" / form
    assert {path.name for path in folder.iterdir()} == files
    assert found.stdout.startswith(str(folder))


def test_settings_and_folder_are_those_given(study, tmp_path):
    text = "interest: mu\nobservables: [y]\n"
    text += "samples: [{name: s, prediction: shifted, parameter: mu}]\n"
    (tmp_path / "model.yaml").write_text(text)
    settings = ("--settings", tmp_path / "model.yaml", "--output", tmp_path / "out")
    assert _run(study.folder, "--as", "pyhf", *settings).exit_code == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"y.json", "notes.json"}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--as", "root", "--settings", "x.yaml"], "x.yaml: a ROOT file has none"),
        (["--as", "root", "--method", "most"], "no method 'most'"),
        (["--as", "hepdata", "--settings", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_errors_are_messages(study, arguments, text):
    found = _run(study.folder, *arguments)
    assert found.exit_code == 1
    assert text in found.stderr


def test_a_study_that_is_not_there_is_refused(tmp_path):
    found = _run(tmp_path, "--as", "pyhf")
    assert found.exit_code == 1
    assert "has no config.yaml" in found.stderr


def test_the_command_offers_every_format():
    (option,) = (each for each in export.params if each.name == "form")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == ["bundle", *command.FORMATS]


def test_options_of_a_bundle_are_refused_by_other_forms(study):
    found = _run(study.folder, "--as", "root", "--leave-out", "lanes")
    assert found.exit_code == 1
    assert "--leave-out is not for --as root" in found.stderr
    found = _run(study.folder, "--settings", "x.yaml")
    assert found.exit_code == 1
    assert "--settings is not for --as bundle" in found.stderr
