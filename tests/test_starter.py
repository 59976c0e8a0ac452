"""The YAML file to begin with."""

from __future__ import annotations

import re

import pytest
import yaml
from typer.testing import CliRunner

from smartx.cli import app
from smartx.config import RunConfig, config_from
from smartx.starter import starter


def test_it_is_a_configuration_as_it_stands(tmp_path):
    done = CliRunner().invoke(app, ["init", str(tmp_path / "mix.yaml")])
    assert done.exit_code == 0, done.output
    config = config_from({}, file=tmp_path / "mix.yaml")
    assert config.rows == 25_000
    assert config.sources == [str(tmp_path / "data" / "*.jsonl")]
    assert config.preset == RunConfig().preset


def test_every_field_is_there_once_with_its_default():
    lines = re.findall(r"^(?:# )?(\w+):(.*)$", starter(), re.M)
    names = [name for name, _ in lines if name in RunConfig.model_fields]
    assert sorted(names) == sorted(RunConfig.model_fields)
    for name, value in lines:
        default = RunConfig.model_fields[name].default if name in RunConfig.model_fields else None
        if name not in ("sources", "rows", "out") and name in RunConfig.model_fields:
            assert yaml.safe_load(value) == default, name


def test_what_is_uncommented_is_taken(tmp_path):
    """Each line, without its "# ", is YAML that the configuration takes, where it has a value."""
    for name, value in re.findall(r"^# (\w+): (.+)$", starter(), re.M):
        if name in RunConfig.model_fields:
            config_from({name: yaml.safe_load(value)})


@pytest.mark.parametrize("there", [True, False])
def test_no_file_of_the_users_is_overwritten(tmp_path, there):
    path = tmp_path / "mix.yaml"
    if there:
        path.write_text("rows: 5\n")
    done = CliRunner().invoke(app, ["init", str(path)])
    assert done.exit_code == (2 if there else 0)
    assert ("there already" in done.stderr) is there
    assert (path.read_text() == "rows: 5\n") is there
