"""The example of a notebook runs, and its chart shows what was saved."""

import pathlib
import runpy

EXAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "learning_curve.py"


def test_a_metric_is_plotted_over_versions(project, capsys):
    names = runpy.run_path(str(EXAMPLE))
    loss, accuracy = names["axes"].get_lines()
    assert list(loss.get_xdata()) == list(range(1, 11))
    assert list(loss.get_ydata()) == [round(1 / epoch + 0.05, 4) for epoch in range(1, 11)]
    assert accuracy.get_ydata()[-1] == 0.95
    assert (project / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert "~ /loss  1.05 → 0.15" in capsys.readouterr().out
