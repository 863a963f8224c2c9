"""Checkpoints: a killed and resumed run equals one that was never interrupted, bit for bit; what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lagrange_ad as la
from lagrange_ad.cli import main
from lagrange_ad.optimization import checkpoint as files

ROOT = Path(__file__).parent.parent
SELLAR = str(ROOT / "examples" / "sellar.lag")
NUMBERS = ("step", "objective", "gradient_norm", "step_length", "rate")

MODELS = '''
    import numpy as np
    import lagrange_ad as la

    def rosenbrock(executor=None, k=100.0):
        p = la.Program("rosenbrock", executor=executor)
        x, y = p.input("x", -1.2, upper=3), p.input("y", 1.0)
        p.minimize(p.parameter("k", k) * (y - x**2) ** 2 + (1 - x) ** 2)
        return p

    def cycle(executor=None):
        p = la.Program("cycle", executor=executor)
        z1, z2 = p.input("z1", 5.0, lower=-1, upper=10), p.input("z2", [2.0, 1.0])
        t = p.parameter("t", 1.0)
        y1, y2 = p.variable("y1", start=1.0), p.variable("y2", start=1.0)
        p.equate(y1, z1**2 + z2[0] + 3 - 0.2 * y2)
        p.equate(y2, np.sqrt(y1) + t * z1 + z2[1])
        p.maximize(-((z1 - 0.3) ** 2) - np.sum((z2 - y2 / 3) ** 2) - 0.1 * y1 - np.exp(-y2))
        return p

    def batches(step):
        return {"t": 1.0 + 0.5 * np.sin(step)}

    def everything(r):
        """All numbers of a result but the times; JSON keeps every digit."""
        names = ("step", "objective", "gradient_norm", "step_length", "rate")
        return {
            "history": [[record[name] for name in names] + record.x.tolist() for record in r.history],
            "values": {name: value.tolist() for name, value in r.at.values.items()}, "objective": r.objective,
            "gradient": {name: np.asarray(value).tolist() for name, value in r.at.gradient.items()},
            "message": r.message,
        }

    WAYS = {
        "gradient": dict(rate=1e-3), "armijo": dict(), "momentum": dict(rate=1e-3, method="momentum"),
        "nesterov": dict(rate=1e-3, method="nesterov"),
        "adam": dict(rate=la.ascent.Cosine(0.05, 300), method="adam"),
        "barzilai-borwein": dict(method="barzilai-borwein"),
        "batches": dict(rate=la.ascent.InverseTime(0.02, 0.1), method="momentum", batches=batches),
    }
'''
space: dict[str, Any] = {}
exec(textwrap.dedent(MODELS), space)
rosenbrock, cycle, WAYS = space["rosenbrock"], space["cycle"], space["WAYS"]


def same(one: la.AscentResult, other: la.AscentResult) -> None:
    """Equal in every bit but for the time."""
    assert len(one.history) == len(other.history)
    for a, b in zip(one.history, other.history, strict=True):
        for name in NUMBERS:
            assert a[name] == b[name], (a.step, name)
        np.testing.assert_array_equal(a.x, b.x)
    assert (one.reason, one.message, one.success) == (other.reason, other.message, other.success)
    assert one.objective == other.objective
    for name in one.at.values:
        np.testing.assert_array_equal(one.at[name], other.at[name])
    for name in one.at.gradient:
        np.testing.assert_array_equal(one.at.gradient[name], other.at.gradient[name])


def stopped_at(step: int) -> Any:
    return lambda record: record.step == step


# resumed equals uninterrupted -------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("way", [way for way in WAYS if way != "batches"])
def test_a_resumed_run_is_the_uninterrupted_one(way: str, executor: str, tmp_path: Path) -> None:
    steps = 60 if executor == "native" else 20
    for make in (rosenbrock, cycle):
        whole = make(executor).ascend(steps=steps, **WAYS[way])
        file = tmp_path / f"{make.__name__}.npz"
        last = whole.steps  # some ways arrive sooner
        for stop in (0, last // 3, last // 2):
            make(executor).ascend(steps=steps, checkpoint=file, callback=stopped_at(stop), resume=True, **WAYS[way])
        same(make(executor).ascend(steps=steps, resume=file, **WAYS[way]), whole)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_resumed_run_with_batches_is_the_uninterrupted_one(executor: str, tmp_path: Path) -> None:
    def sources() -> dict[str, Any]:
        return {
            "function": space["batches"], "list": [{"t": value} for value in (0.5, 1.0, 1.7)],
            "generator": (space["batches"](k) for k in range(37)),
            "Batches": la.ascent.Batches({"t": np.array([0.5, 1.0, 1.5, 2.0])}, 1, seed=4),
        }  # fmt: skip

    for name in sources():
        options = {**WAYS["batches"], "steps": 40}
        if name == "Batches":
            options["batches"] = lambda step: {"t": sources()["Batches"](step)["t"][0]}
            whole = cycle(executor).ascend(**options)
        else:
            whole = cycle(executor).ascend(**{**options, "batches": sources()[name]})
        file = tmp_path / f"{name}.npz"
        for stop in (9, 23):
            source = options["batches"] if name == "Batches" else sources()[name]
            cycle(executor).ascend(**{**options, "batches": source}, checkpoint=file, callback=stopped_at(stop),
                                   resume=True)
        source = options["batches"] if name == "Batches" else sources()[name]
        same(cycle(executor).ascend(**{**options, "batches": source}, resume=file), whole)
        assert whole.reason == ("batches" if name == "generator" else "steps")


def test_a_finished_run_stays_finished(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    for way in WAYS:
        whole = rosenbrock().ascend(steps=50, checkpoint=file, **{**WAYS[way], "batches": None})
        same(rosenbrock().ascend(steps=50, resume=file, **{**WAYS[way], "batches": None}), whole)
    coarse = dict(rate=1e-3, objective_tolerance=1e-2)
    whole = rosenbrock().ascend(checkpoint=file, **coarse)
    assert whole.reason == "objective"
    same(rosenbrock().ascend(resume=file, **coarse), whole)


def test_a_run_may_go_on_for_more_steps(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    options = dict(method="adam", rate=0.01)
    short = rosenbrock().ascend(steps=30, checkpoint=file, **options)
    assert short.steps == 30
    same(rosenbrock().ascend(steps=80, resume=file, **options), rosenbrock().ascend(steps=80, **options))


def test_seconds_go_on_counting(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    first = rosenbrock().ascend(rate=1e-5, steps=200, checkpoint=file)
    second = rosenbrock().ascend(rate=1e-5, steps=201, resume=file)
    seconds = [record.seconds for record in second.history]
    assert seconds == sorted(seconds) and seconds[200] == first.history[200].seconds
    assert second.seconds > first.history[200].seconds
    assert rosenbrock().ascend(rate=1e-5, steps=10**9, resume=file, time_limit=1e-9).steps == 200


# killed ---------------------------------------------------------------------------------------------------------

KILLED = MODELS + """
    import json, sys, time

    make, way, file, slow = sys.argv[1:]
    def look(record):
        if slow == "slow" and record.step >= 25:
            print(record.step, flush=True)  # the parent kills at the first of these
            time.sleep(0.05)
    r = {"rosenbrock": rosenbrock, "cycle": cycle}[make]().ascend(
        steps=60, checkpoint=file, checkpoint_every=3, resume=True, callback=look, **WAYS[way])
    print(json.dumps(everything(r)))
"""


def command(tmp_path: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    path = tmp_path / "killed.py"
    path.write_text(textwrap.dedent(KILLED), encoding="utf-8")
    return [sys.executable, str(path), *arguments], {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
@pytest.mark.parametrize(("make", "way"), [("rosenbrock", "barzilai-borwein"), ("cycle", "batches")])
def test_a_killed_process_loses_nothing(make: str, way: str, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    slow, environment = command(tmp_path, make, way, str(file), "slow")
    with subprocess.Popen(slow, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"25"
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert 22 <= files.read(file).place.step <= 25
    quick, environment = command(tmp_path, make, way, str(file), "quick")
    done = subprocess.run(quick, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    whole = space["everything"](space[make]().ascend(steps=60, **WAYS[way]))
    assert json.loads(done.stdout) == whole
    assert len(whole["history"]) > 26


def test_a_process_killed_at_any_moment_of_writing_leaves_a_whole_file(tmp_path: Path) -> None:
    """What stands beside the file is not looked at, and the next write replaces it."""
    file = tmp_path / "run.npz"
    whole = rosenbrock().ascend(1e-3, 30)
    rosenbrock().ascend(1e-3, 10, checkpoint=file)
    (tmp_path / "run.npz.partial").write_bytes(file.read_bytes()[:100])
    same(rosenbrock().ascend(1e-3, 30, checkpoint=file, resume=True), whole)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_a_write_that_fails_keeps_the_file_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "run.npz"
    real = os.replace

    def full(*paths: Any) -> None:
        if file.exists():
            raise OSError(28, "No space left on device")
        real(*paths)

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(RuntimeWarning, match=r"checkpoint of step \d+ could not be written.*No space left.*goes on"):
        r = rosenbrock().ascend(1e-3, 20, checkpoint=file, checkpoint_every=5)
    assert r.steps == 20 and files.read(file).place.step == 0


def test_ctrl_c_writes_the_checkpoint(tmp_path: Path) -> None:
    def interrupts(record: Any) -> None:
        if record.step == 17:
            raise KeyboardInterrupt

    file = tmp_path / "run.npz"
    r = cycle().ascend(1e-3, 40, checkpoint=file, callback=interrupts)
    assert (r.reason, r.steps) == ("interrupted", 17) and files.read(file).place.step == 17
    same(cycle().ascend(1e-3, 40, resume=file), cycle().ascend(1e-3, 40))


def test_an_error_of_the_callback_leaves_a_checkpoint(tmp_path: Path) -> None:
    def fails(record: Any) -> None:
        if record.step == 12:
            raise ZeroDivisionError

    file = tmp_path / "run.npz"
    with pytest.raises(ZeroDivisionError):
        cycle().ascend(1e-3, 40, checkpoint=file, callback=fails)
    same(cycle().ascend(1e-3, 40, resume=file), cycle().ascend(1e-3, 40))


# when and what ----------------------------------------------------------------------------------------------------


def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, every: Any, steps: int = 20) -> list[int]:
    at = []
    real = files.write
    monkeypatch.setattr(files, "write", lambda path, saved: (at.append(saved.place.step), real(path, saved)))
    rosenbrock().ascend(1e-3, steps, checkpoint=tmp_path / "run.npz", checkpoint_every=every)
    return at


def test_every_so_many_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert written(monkeypatch, tmp_path, 6) == [0, 6, 12, 18, 20]


@pytest.mark.parametrize("every", ["0s", "0 min", timedelta(0)])
def test_every_so_many_seconds(every: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert written(monkeypatch, tmp_path, every) == [*range(21), 20]


def test_times_are_read() -> None:
    assert files.interval("90s") == (None, 90.0) and files.interval("1.5 min") == (None, 90.0)
    assert files.interval("2h") == (None, 7200.0) and files.interval(7) == (7, None)
    assert files.interval(timedelta(minutes=2)) == (None, 120.0)


def test_the_file_holds_no_pickle(tmp_path: Path) -> None:
    file = tmp_path / "run"  # any name will do
    cycle().ascend(checkpoint=file, steps=5, **WAYS["adam"])
    with np.load(file, allow_pickle=False) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    assert all(array.dtype.kind in "fiu" for array in kept.values())
    assert {"state.mean", "state.square", "state.count", "history.objective", "history.x", "x"} <= set(kept)
    assert kept["history.x"].shape == (6, 3)


def test_many_inputs_are_kept_once(tmp_path: Path) -> None:
    def large() -> la.Program:
        p = la.Program("large")
        p.minimize(np.sum(p.input("x", np.linspace(0, 1, 500)) ** 4))
        return p

    file = tmp_path / "run.npz"
    large().ascend(0.1, 20, checkpoint=file)
    r, whole = large().ascend(0.1, 40, resume=file), large().ascend(0.1, 40)
    assert all(record.x is None for record in r.history) and file.stat().st_size < 60_000
    np.testing.assert_array_equal(r["x"], whole["x"])
    assert [a.objective for a in r.history] == [b.objective for b in whole.history]


def test_resume_true_starts_where_there_is_nothing(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    same(rosenbrock().ascend(1e-3, 10, checkpoint=file, resume=True), rosenbrock().ascend(1e-3, 10))
    assert file.exists()


def test_a_new_run_begins_the_file_anew(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    rosenbrock().ascend(1e-3, 10, checkpoint=file)
    cycle().ascend(1e-3, 5, checkpoint=file)
    assert files.read(file).about["program"] == "cycle"


# what is refused --------------------------------------------------------------------------------------------------


def other_start() -> la.Program:
    p = rosenbrock()
    p.set(x=0.5)
    return p


def other_equation(constant: float = 1.0, text: str = "a") -> la.Program:
    p = la.Program("one")
    x = p.input("x", np.ones(40))
    y = p.define("y", 2.0 * x if text == "a" else 2.0 * x + 1)
    p.minimize(np.sum(y**2) + np.sum(np.append(np.arange(39.0), constant) * x))
    return p


@pytest.mark.parametrize(("first", "second", "words"), [
    ((rosenbrock(), {}), (cycle(), {}), r"program: rosenbrock in the checkpoint, cycle here"),
    ((rosenbrock(), {}), (rosenbrock(k=50.0), {}),
     r"value of the parameter 'k': 100.0 in the checkpoint, 50.0 here"),
    ((rosenbrock(), {}), (other_start(), {}), "start of the input 'x': -1.2 in the checkpoint"),
    ((rosenbrock(), {}), (rosenbrock("reference"), {}), "executor: native in the checkpoint, reference here"),
    ((other_equation(), {}), (other_equation(text="b"), {}), r"equation 'y': y = .* in the checkpoint, y = .* here"),
    ((other_equation(1.0), {}), (other_equation(2.0), {}), "objective or its gradient at the start.*some equation or"),
    ((rosenbrock(), {"rate": 1e-3}), (rosenbrock(), {"rate": 2e-3}), "rate: 0.001 in the checkpoint, 0.002 here"),
    ((rosenbrock(), {"rate": 1e-3}), (rosenbrock(), {}), "rate: 0.001 in the checkpoint, none here\n  line_search: "),
    ((rosenbrock(), {"rate": 1e-3}), (rosenbrock(), {"rate": la.ascent.Constant(1e-3)}), r"Constant\(rate=0.001\)"),
    ((rosenbrock(), {"rate": 1e-3, "method": "momentum"}),
     (rosenbrock(), {"rate": 1e-3, "method": la.ascent.Momentum(0.8)}),
     r"method: Momentum\(beta=0.9\) in the checkpoint, Momentum\(beta=0.8\) here"),
    ((rosenbrock(), {}), (rosenbrock(), {"gradient_tolerance": 1e-3}),
     "gradient_tolerance: 1e-08 in the checkpoint, 0.001 here"),
    ((cycle(), {"rate": 0.1, "batches": [{"t": 1.0}]}), (cycle(), {"rate": 0.1, "batches": [{"t": 1.0}] * 2}),
     "batches: a list of 1 in the checkpoint, a list of 2 here"),
    ((cycle(), {"rate": 0.1, "batches": [{"t": 1.0}]}), (cycle(), {"rate": 0.1}), "batches: a list of 1 .*, none here"),
])
def test_another_run_is_refused_and_the_error_says_what_differs(
    first: Any, second: Any, words: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.npz"
    first[0].ascend(steps=3, checkpoint=file, **first[1])
    before = file.read_bytes()
    said = rf"(?s)run\.npz' is the checkpoint of another run; what differs:.*{words}"
    with pytest.raises(la.CheckpointError, match=said):
        second[0].ascend(steps=5, checkpoint=file, resume=True, **second[1])
    assert file.read_bytes() == before


def test_many_differences_are_counted(tmp_path: Path) -> None:
    rosenbrock().ascend(checkpoint=tmp_path / "run.npz", steps=1)
    with pytest.raises(la.CheckpointError, match=r"and \d+ more"):
        cycle().ascend(resume=tmp_path / "run.npz")


@pytest.mark.parametrize(("content", "words"), [
    (b"", "is not a checkpoint of ascend, or it is damaged"),
    (b"not an archive", "is not a checkpoint of ascend, or it is damaged"),
])
def test_what_is_no_checkpoint(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    file.write_bytes(content)
    with pytest.raises(la.CheckpointError, match=words):
        rosenbrock().ascend(resume=file)


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=3.0)
    with pytest.raises(la.CheckpointError, match=r"damaged: name the file that checkpoint= wrote, or start anew"):
        rosenbrock().ascend(resume=tmp_path / "other.npz")


def test_damaged_files_and_other_formats(tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    rosenbrock().ascend(checkpoint=file, steps=2)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(la.CheckpointError, match="damaged"):
        rosenbrock().ascend(resume=file)
    file.write_bytes(whole)
    with np.load(file) as arrays:
        kept = dict(arrays)
    head = json.loads(kept["head"].tobytes())
    kept["head"] = np.frombuffer(json.dumps({**head, "format": 99}).encode(), dtype=np.uint8)
    np.savez(file, **kept)
    with pytest.raises(la.CheckpointError, match="checkpoint format 99, this version of lagrange_ad reads 1"):
        rosenbrock().ascend(resume=file)
    np.savez(file, a=np.ones(3))
    with pytest.raises(la.CheckpointError, match="is not a checkpoint of ascend"):
        rosenbrock().ascend(resume=file)


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"resume": "nowhere.npz"}, la.CheckpointError, "there is no checkpoint 'nowhere.npz' to resume from: leave out"),
    ({"resume": True}, la.DeclarationError, "resume=True goes on from the file of checkpoint=, which is not given"),
    ({"resume": 3}, la.DeclarationError, "resume= takes the path of a checkpoint, or True, got 3"),
    ({"checkpoint": 3}, la.DeclarationError, "checkpoint= takes the path of a file, such as 'run.npz', got 3"),
    ({"checkpoint": "missing/run.npz"}, la.CheckpointError, "there is no folder 'missing' for the checkpoint"),
    ({"checkpoint": "."}, la.CheckpointError, r"checkpoint='\.' is a folder"),
    ({"checkpoint": "run.npz", "checkpoint_every": 0}, la.DeclarationError, "must be a number of steps.*got 0"),
    ({"checkpoint": "run.npz", "checkpoint_every": 2.5}, la.DeclarationError, "or a time such as '30s'.*got 2.5"),
    ({"checkpoint": "run.npz", "checkpoint_every": "soon"}, la.DeclarationError, "got 'soon'"),
])
def test_bad_options(options: dict[str, Any], error: type[Exception], words: str, tmp_path: Path,
                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        rosenbrock().ascend(steps=3, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_an_error_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*paths: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", forbidden)
    with pytest.raises(la.CheckpointError, match=r"the checkpoint cannot be written to .*Permission denied"):
        rosenbrock().ascend(checkpoint=tmp_path / "run.npz")


# the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def bounded(tmp_path: Path) -> str:
    """Sellar's file without its constraints, which ascend refuses."""
    text = Path(SELLAR).read_text(encoding="utf-8")
    path = tmp_path / "sellar.lag"
    lines = [line for line in text.splitlines() if not line.startswith("subject to")]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_the_command_stops_and_goes_on(bounded: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, copy = str(tmp_path / "run.npz"), str(tmp_path / "copy.npz")
    options = ["ascend", bounded, "--method", "adam", "--rate", "0.01", "--schedule", "exponential:0.999"]
    assert main([*options, "--steps", "10", "--checkpoint", file, "--checkpoint-every", "4", "--resume"]) == 1
    shutil.copy(file, copy)
    histories = [tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "c.csv"]
    for history, more in zip(histories, (["--checkpoint", file, "--resume"], ["--resume", copy], []), strict=True):
        assert main([*options, "--steps", "25", "--history", str(history), *more]) == 1
    rows = [[line.split(",")[:5] + line.split(",")[6:] for line in h.read_text().splitlines()] for h in histories]
    assert rows[0] == rows[1] == rows[2] and len(rows[0]) == 27
    capsys.readouterr()
    assert main(["ascend", bounded, "--resume", file, "--rate", "0.02", "--method", "adam"]) == 2
    assert "what differs:\n  rate: Exponential(" in capsys.readouterr().err


@pytest.mark.parametrize(("schedule", "rates"), [
    ("cosine", [0.1, 0.075, 0.025]), ("exponential:0.5", [0.1, 0.05, 0.025]), ("inverse:1", [0.1, 0.05, 0.1 / 3]),
    ("step:2", [0.1, 0.1, 0.05]), ("step:1,0.1", [0.1, 0.01, 0.001]),
])
def test_schedules_of_the_command(schedule: str, rates: list[float], bounded: str,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ascend", bounded, "--rate", "0.1", "--steps", "3", "--schedule", schedule, "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose([record["rate"] for record in data["history"][1:]], rates)


@pytest.mark.parametrize(("arguments", "words"), [
    (["--schedule", "linear"], "none of cosine, exponential:FACTOR"),
    (["--schedule", "exponential"], "none of cosine"),
    (["--schedule", "step:1.5"], "EVERY is a whole number of steps"),
    (["--schedule", "cosine"], "--schedule begins at a rate: give --rate too"),
    (["--method", "adagrad"], "invalid choice"),
    (["--method", "adam"], "--method 'adam' needs --rate"),
    (["--resume"], "--resume goes on from the file of --checkpoint"),
    (["--resume", "nowhere.npz"], "there is no checkpoint 'nowhere.npz'"),
    (["--checkpoint", "missing/run.npz"], "no folder 'missing'"),
    (["--checkpoint-every", "soon", "--checkpoint", "run.npz"], "checkpoint_every must be a number of steps"),
])
def test_bad_input_of_the_command(arguments: list[str], words: str, bounded: str, tmp_path: Path,
                                  monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ascend", bounded, *arguments]) == 2
    assert words in capsys.readouterr().err


def test_times_do_not_matter(tmp_path: Path) -> None:
    """A clock that stands still, or a slow callback, changes no number."""
    slow = rosenbrock().ascend(1e-3, 3, callback=lambda record: time.sleep(0.002))
    same(slow, rosenbrock().ascend(1e-3, 3, checkpoint=tmp_path / "run.npz", checkpoint_every=1))


def test_how_often_needs_where() -> None:
    p = la.Program("bowl")
    p.minimize(p.input("x", 1.0) ** 2)
    with pytest.raises(la.DeclarationError, match="name the file, checkpoint="):
        p.ascend(rate=0.1, checkpoint_every=5)
