"""Run scikit-learn's checks of estimators in a process of its own: `run_checks.py ARGUMENTS LEFT_OUT`, both as JSON.

A process of its own shows that the estimators need no setting of JAX, which computes in 32 bits here, and may compile quickly rather than well.
"""

import json
import os
import sys
import warnings

if __name__ == "__main__":
    os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_backend_optimization_level=0"
    import jax
    from sklearn.exceptions import ConvergenceWarning, SkipTestWarning
    from sklearn.utils.estimator_checks import estimator_checks_generator

    from infinity.sklearn import KHRONOSRegressor, SeparableFeatures, SmallTableWarning

    warnings.simplefilter("error")
    warnings.simplefilter("ignore", SmallTableWarning)  # many of the tables are tiny
    warnings.simplefilter("ignore", ConvergenceWarning)  # and their targets noise
    warnings.simplefilter("ignore", SkipTestWarning)
    arguments, left_out = json.loads(sys.argv[1]), set(json.loads(sys.argv[2]))
    passed, failed = [], []
    for kind in (KHRONOSRegressor, SeparableFeatures):
        for estimator, check in estimator_checks_generator(kind(**arguments), mark=None):
            name = check.func.__name__
            if name in left_out:
                continue
            try:
                check(estimator)
                passed.append(name)
            except Exception as error:
                if type(error).__name__ != "SkipTest":
                    failed.append(f"{kind.__name__} {name}: {type(error).__name__}: {error}")
    assert not jax.config.read("jax_enable_x64")
    print(json.dumps({"passed": passed, "failed": failed}))
