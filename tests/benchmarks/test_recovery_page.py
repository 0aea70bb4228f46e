"""The page of recovery counts what its lines say, misses too."""

from benchmarks.symbolic.page import page

NAMES = {"reported": ["coulomb", "doppler", "planck"]}


def line(who, name, error, **more):
    return {
        "who": who,
        "part": "reported",
        "name": name,
        "rows": 600,
        "noise": 0.01,
        "seed": 0,
        "error": error,
        "any": error / 10,
        "cpu": 2.0,
        **more,
    }


def test_counts_ratio_and_false_laws():
    text = page(
        [
            line("ours", "coulomb", 1e-15, found=True, formula="y = x0"),
            line("ours", "doppler", 2e-6, found=True, formula="y = " + "x0 + " * 40 + "x1"),
            line("ours", "planck", 1e-9, found=False, formula="y = x1"),
            line("pyoperon", "coulomb", 1e-15),
            line("pyoperon", "doppler", 1.0),
        ],
        NAMES,
    )
    # two of three by our choice, all three by any formula; pyoperon one of two; on the two that both had, one each; one is called found and is not
    assert "| reported | 600 | 0.01 | 0 | 2 of 3 | 3 of 3 | 1 of 2 | 1 of 2 | 1.00 | 1 | 2.0 (2.0) | unknown |" in text
    assert "3 of 3 run; below 1e-12, where no imitation comes: 1." in text
    assert "| planck | 1.0e-09 | no | 2.0 | `y = x1` |  |  |" in text
    assert all(len(row) < 300 for row in text.splitlines() if row.startswith("| doppler"))
