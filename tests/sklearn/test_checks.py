"""scikit-learn's own suite."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn")

# Checks whose tables have a shape of their own, each of which takes seconds to compile.
COSTLY = [
    "check_dtype_object",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_n_features_in",
    "check_positive_only_tag_during_fit",
    "check_regressor_data_not_an_array",
    "check_regressors_int",
    "check_regressors_train",
]


def run_checks(arguments, left_out=()):
    command = [sys.executable, str(Path(__file__).with_name("run_checks.py")), json.dumps(arguments)]
    run = subprocess.run([*command, json.dumps(list(left_out))], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_small_estimators_pass_the_checks_of_scikit_learn():
    outcome = run_checks({"modes": 1, "elements": 1, "degree": 1}, COSTLY)
    assert outcome["failed"] == []
    assert "check_sample_weight_equivalence_on_dense_data" in outcome["passed"]
    assert not set(COSTLY) & set(outcome["passed"])


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"modes": 1, "elements": 1, "degree": 1}], ids=["default", "small"])
def test_estimators_pass_all_checks_of_scikit_learn(arguments):
    outcome = run_checks(arguments)
    assert outcome["failed"] == []
    assert set(COSTLY) - {"check_regressor_data_not_an_array"} <= set(outcome["passed"])
