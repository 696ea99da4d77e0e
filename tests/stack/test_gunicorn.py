# SPDX-License-Identifier: Apache-2.0
"""docs/gunicorn.md: what becomes of each setting of gunicorn. The table is whole, and true where that can be told."""
import re

import gunicorn.config
import pytest

from edge import ROOT, run

PAGE = (ROOT / "docs/gunicorn.md").read_text()
ROWS = {name: (verdict, text) for name, verdict, text in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", PAGE, re.M)}
SETTINGS = {setting.name: setting for setting in gunicorn.config.KNOWN_SETTINGS}
KEYS = set(re.findall(r'^\{"([^"]+)",', (ROOT / "config/field_rows.hpp").read_text(), re.M))
VALUES = {"workers": "2", "bind": "127.0.0.1:1", "certfile": "a.pem", "keyfile": "a.pem", "pidfile": "p", "protocol": "uwsgi",
          "proxy_protocol": "v1"}


def test_every_setting_of_the_installed_gunicorn_has_its_row():
    missing, gone = set(SETTINGS) - set(ROWS), set(ROWS) - set(SETTINGS)
    assert not missing, f"docs/gunicorn.md says nothing of {sorted(missing)}"
    assert not gone, f"gunicorn does not know {sorted(gone)}"
    assert len(re.findall(r"^\| `\w+` \|", PAGE, re.M)) == len(ROWS), "each once"
    assert {verdict for verdict, _ in ROWS.values()} == {"same", "different", "refused"}


def test_every_key_that_the_table_names_exists():
    ends = {".".join(key.split(".")[at:]) for key in KEYS for at in range(key.count(".") + 1)}
    for name, (_, text) in ROWS.items():
        for key in re.findall(r"`([a-z_0-9]+(?:\.[a-z_0-9]+)+)`", text):
            assert key in ends, f"{name}: there is no key {key}"


def refused_by_check():
    return [name for name, (verdict, text) in ROWS.items() if verdict == "refused" and "`check` refuses" in text]


@pytest.mark.parametrize("name", refused_by_check())
def test_what_check_is_said_to_refuse_it_refuses(name, tmp_path):
    for flag in SETTINGS[name].cli:
        words = [flag, VALUES[name]] if name in VALUES else [flag]
        (tmp_path / "stack.yaml").write_text(f'listen: "127.0.0.1:8080"\napp: {{ command: [gunicorn, {", ".join(words)}, "main:app"] }}\n')
        done = run("check", "--no-files", "-c", "stack.yaml", cwd=tmp_path)
        assert done.returncode == 3 and flag in done.stdout + done.stderr, (words, done.stdout)


def test_what_nobody_refuses_passes(tmp_path):
    (tmp_path / "stack.yaml").write_text('listen: "127.0.0.1:8080"\n'
                                         'app: gunicorn -k gthread --threads 4 --keep-alive 5 --preload -w 1 main:app\n')
    assert run("check", "--strict", "--no-files", "-c", "stack.yaml", cwd=tmp_path).returncode == 0
