"""The command line: verbs, words, flags, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from neon_ros.cli import VERBS, main, usage, words
from neon_ros.errors import ConfigError


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert main([]) == 2
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)
    assert usage() in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()[0].isdigit()


def test_an_unknown_verb_lists_the_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fly"]) == 2
    assert (
        "verb: got 'fly'; allowed: up, check, arm, disarm, stop, status, say, head, view, record, replay"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "verb", ["up", "arm", "disarm", "stop", "status", "say", "view", "record", "replay", "train", "eval"]
)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("neon_ros.motor.shared")
    assert main([verb, "--help"]) == 0
    assert f"usage: neon {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["up", "head:=fly"], "head: got 'fly'; allowed: mlp, flow_matching, dit"),
        (["up", "--fast"], "option: got --fast; allowed: --headless, --seconds"),
        (["up", "--seconds"], "option --seconds: got no value"),
        (["up", "--seconds", "soon"], "seconds: got 'soon'; allowed: a time above 0 s"),
        (["up", "seconds:=-3"], "seconds: got '-3'; allowed: a time above 0 s"),
        (["up", "robot:=sim", "robot:=real"], "robot: got two values; allowed: one"),
        (["up", "now"], "argument: got 'now'; allowed: name:=value"),
        (["say"], "instruction: got nothing; allowed: words"),
        (["say", "x" * 10_000, "ros_domain:=9"], "instruction length: got 10000 characters; allowed: 1 to 512"),
        (["arm", "head:=mlp"], "argument: got head; allowed: robot, ros_domain, session"),
        (["record", "demos"], "--out: got nothing; allowed: a value"),
        (
            ["record", "--out", "x"],
            "record: got --out alone; allowed: run --out FILE (a running system) or",
        ),
        (["record", "walk"], "record: got 'walk'; allowed: run, demos, repair"),
        (["record", "run", "--out", "/"], "--out: got /, which exists; allowed: a new name"),
        (["record", "run", "--seconds", "0"], "--seconds: got '0'; allowed: a time above 0 s"),
        (["record", "--seconds", "3", "--size", "1"], "option: got --size; allowed: --out, --seconds, --topics"),
        (["record", "run", "port:=8080"], "argument: got port; allowed: robot, ros_domain, params_file"),
        (["replay"], "recording: got nothing; allowed: one: an MCAP file or a folder"),
        (["replay", "a", "b"], "recording: got a b; allowed: one"),
        (["replay", "/nowhere"], "recording: got /nowhere, which does not exist"),
        (["replay", "/nowhere", "--fast"], "option: got --fast; allowed: --rate, --start, --loop"),
        (["record", "--out", "x", "--task", "dance"], "--task: got 'dance'; allowed: touch, point_at"),
        (["record", "--out", "x", "--episodes", "many"], "--episodes: got 'many'; allowed: a whole number from 0 on"),
        (["train", "--preset", "x"], "--data: got nothing"),
        (["eval", "--only", "magic"], "--only: got 'magic'; allowed: policy, blind, wordless, random, expert"),
        (["eval", "--task", "dance"], "--task: got 'dance'; allowed: touch"),
    ],
)
def test_refusals_exit_2_in_one_line(command: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("neon_ros.motor.shared")
    if command[0] == "record":
        pytest.importorskip("mujoco")
    if command[0] == "replay":
        pytest.importorskip("mcap")
    assert main(command) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err and err.startswith(f"neon {command[0]}: ")


def test_words_are_told_apart() -> None:
    given = words.read(["a:=1", "--n=5", "touch", "--q", "it"], {"n": True, "q": False})
    assert given == words.Words({"a": "1"}, {"n": "5", "q": ""}, ["touch", "it"])
    with pytest.raises(ConfigError, match="argument: got a:=1; allowed: options beginning with --"):
        words.nothing_else(words.Words({"a": "1"}, {}, []))


def test_a_missing_package_is_named() -> None:
    words.need("json")
    with pytest.raises(ConfigError, match="package nowhere: got none; allowed: one that is installed: pip install now"):
        words.need("nowhere")


def test_recording_as_it_was_called_before_still_makes_demonstrations(monkeypatch: pytest.MonkeyPatch) -> None:
    from neon_ros.cli import demonstrations

    called: list[list[str]] = []
    monkeypatch.setattr(demonstrations, "run", lambda arguments: called.append(list(arguments)) or 0)
    for old in (["--out", "x", "--task", "touch"], ["--out=x", "--episodes=3"], ["--out", "x", "--kind", "glimpse"]):
        assert main(["record", *old]) == 0
        assert called[-1] == old
    assert main(["record", "demos", "--out", "x"]) == 0
    assert called[-1] == ["--out", "x"]


def test_a_recording_that_a_crash_cut_off_is_repaired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mcap")
    from neon_ros.data.bag import Topic
    from neon_ros.data.recording import Recording

    recording = Recording(tmp_path / "run")
    recording.add(Topic("/a", "std_msgs/msg/UInt64", (), "uint64 data"))
    recording.write("/a", 10**18, 10**18, bytes(12))
    recording.flush()
    assert main(["record", "repair", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "run: cut off at byte" in out and "run-repaired: 0.0 s, 1 messages" in out
    assert (tmp_path / "run-repaired" / "metadata.yaml").is_file()
    assert main(["record", "repair", str(tmp_path / "run")]) == 2
    assert main(["record", "repair"]) == 2
    assert "repair: got nothing; allowed: one recording: a file or a folder" in capsys.readouterr().err
