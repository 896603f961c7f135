"""The shell parts of the GitHub Action, with other programs in the place of powerML, pip and gh.

GitHub itself is not tested: how it reads ``action.yml``, its cache and its permissions.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = ROOT / "action"

FAKE_GH = """\
#!/usr/bin/env python3
\"\"\"The comments of one pull request, in a file; refuses all if a file `forbidden` is there.\"\"\"
import json, pathlib, re, sys

place = pathlib.Path(__file__).parent.parent
if (place / "forbidden").exists():
    sys.exit("gh: Resource not accessible by integration (HTTP 403)")
kept = place / "comments.json"
comments = json.loads(kept.read_text()) if kept.exists() else []
arguments = sys.argv[1:]
assert arguments.pop(0) == "api"
given = dict(zip(arguments, arguments[1:]))
path = next(one for one in arguments if one.startswith("repos/"))
with (place / "calls.txt").open("a") as calls:
    calls.write(f"{given.get('--method', 'GET')} {path}\\n")
if "--method" not in arguments:
    assert path == "repos/me/nets/issues/7/comments?per_page=100", path
    wanted = re.fullmatch(
        r'\\.\\[\\] \\| select\\(\\.body \\| startswith\\("(.*)"\\)\\) \\| \\.id', given["--jq"]
    )[1]
    for one in comments:
        if one["body"].startswith(wanted):
            print(one["id"])
    sys.exit()
field = given["--field"]
assert field.startswith("body=@"), field
body = pathlib.Path(field.removeprefix("body=@")).read_text()
if given["--method"] == "POST":
    assert path == "repos/me/nets/issues/7/comments", path
    comments.append({"id": 100 + len(comments), "body": body})
else:
    [one] = [one for one in comments if path == f"repos/me/nets/issues/comments/{one['id']}"]
    one["body"] = body
kept.write_text(json.dumps(comments))
"""

FAKE_POWERML = """\
#!/usr/bin/env python3
\"\"\"Writes what it is told to, and ends with the code that it is told.\"\"\"
import json, os, pathlib, sys

place = pathlib.Path(__file__).parent.parent
(place / "arguments.json").write_text(json.dumps(sys.argv[1:]))
code = int(os.environ["FAKE_CODE"])
if code == 2:
    sys.exit(print("powerml: error: no 100% `pyproject.toml`: add it", file=sys.stderr) or 2)
outputs = [sys.argv[n + 1] for n, one in enumerate(sys.argv) if one == "--output"]
for path in map(pathlib.Path, outputs):
    text = {".md": "### powerML: the verdict\\n", ".github": "::error file=a,line=1::b\\n"}
    path.write_text(text.get(path.suffix, "{}"))
print("the table")
sys.exit(code)
"""


class Runner:
    """A runner of GitHub's: its files, its environment, and programs that stand in for others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary, self.output = folder / "summary.md", folder / "output.txt"
        programs = folder / "bin"
        programs.mkdir()
        for name, text in (("gh", FAKE_GH), ("powerml", FAKE_POWERML)):
            self.program(name, text)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_REPOSITORY": "me/nets",
            "RUNNER_TEMP": str(folder / "temp folder"),
        }
        Path(self.environment["RUNNER_TEMP"]).mkdir()

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def run(self, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(SCRIPTS / script)],
            capture_output=True,
            text=True,
            check=False,
            env={**self.environment, **environment},
            cwd=self.folder,
        )

    @property
    def outputs(self) -> dict[str, str]:
        lines = self.output.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    @property
    def comments(self) -> list[str]:
        path = self.folder / "comments.json"
        return [one["body"] for one in json.loads(path.read_text())] if path.exists() else []

    def comment(self, text: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "check.md").write_text(text, encoding="utf-8")
        ordinary = {"POWERML_FOLDER": str(self.folder), "POWERML_PULL_REQUEST": "7"}
        return self.run("comment.sh", **{**ordinary, **environment})


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


@pytest.mark.parametrize(
    ("code", "state"), [(0, "kept"), (1, "failed"), (3, "exceeded"), (4, "incomparable")]
)
def test_the_summary_is_written_and_the_code_is_kept(code: int, state: str, runner: Runner) -> None:
    done = runner.run("check.sh", FAKE_CODE=str(code))
    assert done.returncode == 0, done.stderr
    assert "the table" in done.stdout
    assert "::error file=a,line=1::b" in done.stdout
    assert runner.summary.read_text(encoding="utf-8") == "### powerML: the verdict\n"
    assert runner.outputs["state"] == state
    assert {path.suffix for path in Path(runner.outputs["folder"]).iterdir()} == {
        ".md",
        ".json",
        ".sarif",
        ".xml",
        ".github",
        ".txt",
    }
    ended = runner.run("finish.sh", POWERML_EXIT_CODE=runner.outputs["exit-code"])
    assert ended.returncode == code


def test_wrong_use_is_in_the_summary_and_in_an_annotation(runner: Runner) -> None:
    done = runner.run("check.sh", FAKE_CODE="2")
    assert done.returncode == 0
    assert (runner.outputs["state"], runner.outputs["exit-code"]) == ("invalid", "2")
    said = "powerml: error: no 100% `pyproject.toml`: add it"
    assert f"\n    {said}\n" in runner.summary.read_text(encoding="utf-8")
    assert f"::error title=powerml::{said.replace('%', '%25')}\n" in done.stdout


def test_names_and_paths_are_arguments_whatever_they_hold(runner: Runner) -> None:
    names = "two words\n$(touch stolen)\n\n--update\n`touch stolen`; touch stolen"
    runner.run(
        "check.sh", FAKE_CODE="0", POWERML_MODELS=names, POWERML_CONFIG="a b/$(touch stolen)"
    )
    arguments = json.loads((runner.folder / "arguments.json").read_text())
    assert arguments[:3] == ["check", "--config", "a b/$(touch stolen)"]
    assert arguments[arguments.index("--") + 1 :] == [one for one in names.split("\n") if one]
    assert not (runner.folder / "stolen").exists()


def test_a_check_that_has_not_run_is_a_failure(runner: Runner) -> None:
    assert runner.run("finish.sh", POWERML_EXIT_CODE="").returncode != 0


def test_the_first_run_makes_a_comment_and_the_second_updates_it(runner: Runner) -> None:
    assert runner.comment("### powerML: first\n").returncode == 0
    assert runner.comment("### powerML: second\n").returncode == 0
    [comment] = runner.comments
    assert re.fullmatch(r"<!-- powerml-check \d+ -->\n### powerML: second\n", comment)
    calls = (runner.folder / "calls.txt").read_text().split("\n")
    assert [call.split()[0] for call in calls if call] == ["GET", "POST", "GET", "PATCH"]


def test_comments_of_others_are_left_alone_and_two_gates_have_one_each(runner: Runner) -> None:
    (runner.folder / "comments.json").write_text(json.dumps([{"id": 1, "body": "quoted"}]))
    for config in ("a", "b", 'c" | .. '):
        assert runner.comment(f"of {config}\n", POWERML_CONFIG=config).returncode == 0
        assert runner.comment(f"of {config}, again\n", POWERML_CONFIG=config).returncode == 0
    assert [comment.partition("\n")[2] or comment for comment in runner.comments] == [
        "quoted",
        "of a, again\n",
        "of b, again\n",
        'of c" | .. , again\n',
    ]


def test_a_token_that_may_not_write_is_a_warning_and_no_failure(runner: Runner) -> None:
    (runner.folder / "forbidden").touch()
    done = runner.comment("x\n")
    assert done.returncode == 0
    assert "::warning title=powerml::the comment could not be written: give the job" in done.stdout


def test_a_long_comment_is_cut_at_a_line(runner: Runner) -> None:
    runner.comment("ü" * 100 + "\n" + "".join(f"- line {number} ü\n" for number in range(20_000)))
    [comment] = runner.comments
    assert len(comment.encode()) < 61_000
    assert comment.endswith(" ü\n\n(cut: the summary of the workflow has all of it)\n")


def test_a_number_that_is_none_is_refused(runner: Runner) -> None:
    assert runner.comment("x\n", POWERML_PULL_REQUEST="7/../../x").returncode == 2


def test_the_key_of_the_counts_follows_the_versions(runner: Runner) -> None:
    keys = []
    for version in ("1.24", "1.24", "1.25"):
        runner.program("python", f"#!/bin/sh\necho onnxruntime=={version}\n")
        runner.program("valgrind", "#!/bin/sh\necho valgrind-3.19.0\n")
        runner.output.unlink(missing_ok=True)
        assert runner.run("cache_key.sh").returncode == 0
        keys.append(runner.outputs["key"])
        assert Path(runner.outputs["folder"]).is_dir()
    assert keys[0] == keys[1] != keys[2]


def test_this_commit_is_installed_with_the_versions_that_it_pins(runner: Runner) -> None:
    runner.program("python", '#!/bin/sh\nprintf "%s\\n" "$@" > arguments.txt\n')
    for name in ("valgrind", "cc", "qemu-aarch64"):
        runner.program(name, "#!/bin/sh\n")
    runner.program("id", "#!/bin/sh\necho 0\n")
    runner.program("apt-get", "#!/bin/sh\n")
    done = runner.run("install.sh", POWERML_EXTRAS="litert,torch", POWERML_INDEX="https://x/cpu")
    assert done.returncode == 0, done.stderr
    arguments = (runner.folder / "arguments.txt").read_text().splitlines()
    assert arguments[:3] == ["-m", "pip", "install"]
    assert arguments[-1] == f"{ROOT}[litert,torch]"
    assert str(ROOT / "constraints.txt") in arguments
    assert arguments[arguments.index("--extra-index-url") + 1] == "https://x/cpu"
    runner.run("install.sh", POWERML_REQUIREMENT="powerml==9")
    arguments = (runner.folder / "arguments.txt").read_text().splitlines()
    assert arguments[-1] == "powerml==9"
    assert "--constraint" not in arguments


def test_no_input_is_a_part_of_a_scripts_text() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    runs = [line for line in text.splitlines() if line.strip().startswith("run:")]
    assert len(runs) == 5
    assert [line for line in runs if "${{" in line] == []
    named = set(re.findall(r"action/(\w+\.sh)", text))
    assert named == {path.name for path in SCRIPTS.glob("*.sh")}


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.name)
def test_each_script_stops_at_the_first_error(script: Path) -> None:
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, str(script)], check=True)
