"""Blocks of rows fit the device: what a GPU would be given, worked out here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infinity as inf
from infinity.compilation import brief_jit, compiler_options, quick_jit
from infinity.fitting.direct import fit_separable
from infinity.shapes import ACCELERATOR_NUMBERS, rows_at_once


def test_a_cpu_keeps_few_rows_together():
    assert rows_at_once(512, 10**6, 640) == 512


def test_an_accelerator_gets_as_many_as_keep_it_busy(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert rows_at_once(512, 10**6, 640) == 2**15  # 32 million numbers hold no more rows of 640
    assert rows_at_once(512, 10_000, 640) == 2**14  # no more than there are
    assert rows_at_once(512, 100, 640) == 512
    assert rows_at_once(16, 10**6, 2 * ACCELERATOR_NUMBERS) == 16


def test_large_blocks_give_the_same_fit(monkeypatch):
    x = np.random.default_rng(0).uniform(size=(5000, 2))
    y = np.exp(x[:, :1]) * np.sin(6 * x[:, 1:])
    y = (y - y.mean()) / y.std()
    start = inf.KHRONOS([(0.0, 1.0)] * 2, modes=2, elements=8, key=jax.random.key(0))
    for brief in (False, True):
        compiler_options(brief)  # of this device, before another one is claimed
    fits = []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        fits.append(fit_separable(start, *map(jnp.asarray, (x, y, np.ones(5000))), tolerance=1e-10))
    few, many = fits
    assert float(np.sqrt(np.mean((few.values - y) ** 2))) < 1e-3
    np.testing.assert_allclose(many.values, few.values, atol=1e-5)


@pytest.mark.parametrize("compiled", [quick_jit, brief_jit])
def test_programs_with_options_work_within_others(compiled):
    """The compiler takes options for the outermost program alone."""
    square = compiled(lambda x: x**2)
    assert float(square(jnp.array(3.0))) == 9.0
    assert float(jax.jit(lambda: square(jnp.array(3.0)))()) == 9.0
    assert float(jax.jit(square)(3.0)) == 9.0
    assert float(jax.grad(square)(3.0)) == 6.0
    np.testing.assert_allclose(jax.vmap(square)(jnp.arange(3.0)), [0.0, 1.0, 4.0])
