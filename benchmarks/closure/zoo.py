"""A zoo of models and the verdict of the closure check on each.

`python benchmarks/closure/zoo.py` prints the table as markdown and writes `benchmarks/results/closure-zoo.md`.
"""

import argparse
import datetime
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from infinity.closure import Certificate, certify


class Model(NamedTuple):
    """One animal: a function, its parameters, its data."""

    name: str
    fn: Callable[..., Any]
    params: Any
    args: tuple[Any, ...]


KEY = jax.random.key(0)
SAMPLES = 64


def _normal(seed: int, *shape: int) -> jax.Array:
    return 0.5 * jax.random.normal(jax.random.fold_in(KEY, seed), shape)


def _data(features: int) -> tuple[jax.Array, jax.Array]:
    x = jax.random.uniform(jax.random.fold_in(KEY, 99), (SAMPLES, features), minval=-1.0)
    return x, jnp.sin(x.sum(axis=1))


def linear(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    weight, bias = params
    return x @ weight + bias - y


def canonical(factors: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    basis = x[:, :, None] ** jnp.arange(4)
    product = 1.0
    for dimension in range(len(factors)):
        product = product * (basis[:, dimension] @ factors[dimension])
    return jnp.sum(product, axis=1) - y


def canonical_stacked(factors: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    basis = x[:, :, None] ** jnp.arange(4)
    return jnp.sum(jnp.prod(jnp.einsum("ndk,dkm->ndm", basis, factors), axis=1), axis=1) - y


def canonical_spline(factors: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Hat functions found by their cell: each sample reads two coefficients a dimension."""

    def one(coefficients: jax.Array, t: jax.Array) -> jax.Array:
        cells = coefficients.shape[1] - 1
        position = 0.5 * (t + 1.0) * cells
        cell = jnp.clip(jnp.floor(position).astype(int), 0, cells - 1)
        local = position - cell
        return coefficients[:, cell] * (1.0 - local) + coefficients[:, cell + 1] * local

    def point(sample: jax.Array) -> jax.Array:
        values = jnp.stack([one(factor, sample[dimension]) for dimension, factor in enumerate(factors)])
        return jnp.sum(jnp.prod(values, axis=0))

    return jax.vmap(point)(x) - y


def canonical_loss(factors: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean(canonical_stacked(factors, x, y) ** 2)


def linear_loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean(linear(params, x, y) ** 2)


def aion(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Sum over ranks of products over dimensions of damped waves."""
    amplitude, growth, frequency, phase = params
    t = x[:, None, :, None]
    waves = amplitude * jnp.exp(growth * t) * jnp.cos(frequency * t + phase)
    return jnp.sum(jnp.prod(jnp.sum(waves, axis=3), axis=2), axis=1) - y


def fourier_features(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    amplitude, frequency, phase = params
    return jnp.sin(x @ frequency + phase) @ amplitude - y


def radial(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    weight, centres = params
    return jnp.exp(-jnp.sum((x[:, None, :] - centres) ** 2, axis=2)) @ weight - y


def radial_natural(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    weight, linear_part, constant = params
    return jnp.exp(constant + x @ linear_part - jnp.sum(x**2, axis=1, keepdims=True)) @ weight - y


def network(model: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jax.vmap(model)(x)[:, 0] - y


class Recurrent(eqx.Module):
    """A gated recurrent unit with a linear readout."""

    cell: eqx.nn.GRUCell
    readout: eqx.nn.Linear

    def __call__(self, sequence: jax.Array) -> jax.Array:
        """Return the readout of the last state."""
        state, _ = jax.lax.scan(
            lambda state, entry: (self.cell(entry[None], state), None), jnp.zeros(self.cell.hidden_size), sequence
        )
        return self.readout(state)


class Attention(eqx.Module):
    """Self-attention over the features, averaged, with a linear readout."""

    attention: eqx.nn.MultiheadAttention
    readout: eqx.nn.Linear

    def __call__(self, sequence: jax.Array) -> jax.Array:
        """Return the readout of the averaged tokens."""
        tokens = jnp.stack([sequence, jnp.ones_like(sequence)], axis=1)
        return self.readout(jnp.mean(self.attention(tokens, tokens, tokens), axis=0))


class Convolutional(eqx.Module):
    """Two convolutions with a rectifier between, and a linear readout."""

    first: eqx.nn.Conv1d
    second: eqx.nn.Conv1d
    readout: eqx.nn.Linear

    def __call__(self, signal: jax.Array) -> jax.Array:
        """Return the readout of the second convolution."""
        return self.readout(jnp.ravel(self.second(jax.nn.relu(self.first(signal[None])))))


class Normalised(eqx.Module):
    """A linear layer, layer normalisation, a linear readout."""

    layer: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    readout: eqx.nn.Linear

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the readout of the normalised layer."""
        return self.readout(self.norm(self.layer(x)))


def multinomial(weight: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jax.nn.softmax(x @ weight) - jax.nn.one_hot((y > 0).astype(int), 3)


def linear_solve(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    matrix, right = params
    return x @ jnp.linalg.solve(jnp.eye(3) + matrix, right) - y


def square_in_sine(weight: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.sin(weight**2 * x[:, 0]) - y


def scanned(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    """Return a linear recurrence over the features: each weight once, the start once."""
    start, weight = params
    state, _ = jax.lax.scan(lambda state, entry: (0.9 * state + weight * entry, None), jnp.full(x.shape[0], start), x.T)
    return state - y


@jax.jit
def jitted(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return linear(params, x, y)


@jax.custom_jvp
def bilinear(left: jax.Array, right: jax.Array) -> jax.Array:
    return left * right


bilinear.defjvp(lambda primals, tangents: (bilinear(*primals), tangents[0] * primals[1] + primals[0] * tangents[1]))


def custom(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return bilinear(params[0], params[1]) * x[:, 0] - y


def flat_vector(theta: Any, x: jax.Array, y: jax.Array) -> jax.Array:
    return theta[0] * jnp.exp(-theta[1] * x[:, 0]) + theta[2] * jnp.exp(-theta[3] * x[:, 0]) + theta[4] - y


def models() -> Iterator[Model]:
    """Every model of the zoo."""
    three, target = _data(3)
    data = (three, target)
    wide = _data(8)
    keys = jax.random.split(KEY, 8)
    factors = tuple(_normal(d, 4, 2) for d in range(3))
    atoms = [_normal(10 + k, 2, 1, 3) for k in range(4)]
    cubes = [_normal(20 + k, 2, 3, 2) for k in range(4)]
    yield Model("linear", linear, (_normal(1, 3), jnp.zeros(())), data)
    yield Model("linear, loss", linear_loss, (_normal(1, 3), jnp.zeros(())), data)
    yield Model("CP, tuple of factors", canonical, factors, data)
    yield Model("CP, one stacked array", canonical_stacked, jnp.stack(factors), data)
    yield Model("CP, stacked, loss", canonical_loss, jnp.stack(factors), data)
    yield Model("CP on hat functions, 8-D, vmapped", canonical_spline, tuple(_normal(d, 5, 12) for d in range(8)), wide)
    yield Model("AION, D = 1", aion, atoms, (three[:, :1], target))
    yield Model("AION, D = 3", aion, cubes, data)
    yield Model("Fourier features", fourier_features, (_normal(2, 5), _normal(3, 3, 5), _normal(4, 5)), data)
    yield Model("radial, centres", radial, (_normal(5, 6), _normal(6, 6, 3)), data)
    yield Model("radial, natural parameters", radial_natural, (_normal(5, 6), _normal(6, 3, 6), _normal(7, 6)), data)
    yield Model("sum of exponentials in one vector", flat_vector, _normal(8, 5), data)
    yield Model("MLP, tanh, one hidden layer", network, eqx.nn.MLP(3, 1, 8, 1, activation=jnp.tanh, key=keys[0]), data)
    yield Model("MLP, tanh, two hidden layers", network, eqx.nn.MLP(3, 1, 8, 2, activation=jnp.tanh, key=keys[0]), data)
    yield Model("MLP, relu", network, eqx.nn.MLP(3, 1, 8, 2, activation=jax.nn.relu, key=keys[1]), data)
    yield Model(
        "MLP, tanh, 4 layers of 512, 2,000 samples",
        network,
        eqx.nn.MLP(8, 1, 512, 4, activation=jnp.tanh, key=keys[2]),
        (jnp.tile(wide[0], (32, 1))[:2000], jnp.tile(wide[1], 32)[:2000]),
    )
    yield Model(
        "GRU over a sequence",
        network,
        Recurrent(eqx.nn.GRUCell(1, 6, key=keys[3]), eqx.nn.Linear(6, 1, key=keys[4])),
        data,
    )
    yield Model(
        "attention",
        network,
        Attention(eqx.nn.MultiheadAttention(2, 2, key=keys[3]), eqx.nn.Linear(2, 1, key=keys[4])),
        data,
    )
    convolutions = eqx.nn.Conv1d(1, 3, 3, padding=1, key=keys[5]), eqx.nn.Conv1d(3, 2, 3, padding=1, key=keys[6])
    yield Model("conv net", network, Convolutional(*convolutions, eqx.nn.Linear(16, 1, key=keys[4])), wide)
    normalised = Normalised(eqx.nn.Linear(3, 6, key=keys[5]), eqx.nn.LayerNorm(6), eqx.nn.Linear(6, 1, key=keys[6]))
    yield Model("layer normalisation", network, normalised, data)
    yield Model("softmax of a linear map", multinomial, _normal(9, 3, 3), data)
    yield Model("linear solve", linear_solve, (0.2 * _normal(11, 3, 3), _normal(12, 3)), data)
    yield Model("sin(w² x)", square_in_sine, _normal(13), data)
    yield Model("scanned recurrence", scanned, (jnp.zeros(()), _normal(14)), data)
    yield Model("jitted linear", jitted, (_normal(1, 3), jnp.zeros(())), data)
    yield Model("custom_jvp product", custom, (_normal(15), _normal(16)), data)


def certified(model: Model) -> tuple[Certificate, float]:
    """Return the certificate and the seconds it took."""
    start = time.perf_counter()
    certificate = certify(model.fn, model.params, *model.args)
    return certificate, time.perf_counter() - start


def row(model: Model, certificate: Certificate, seconds: float) -> str:
    """One line of the table."""
    blocks = "–" if certificate.blocks is None else str(len(certificate.blocks))
    quadratic = "–" if certificate.quadratic_blocks is None else str(len(certificate.quadratic_blocks))
    names = certificate.affine_set.names
    affine = ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "") or "–"
    first = certificate.obstructions[0] if certificate.obstructions else None
    where = "–" if first is None else f"{first.primitive} at {Path(first.file or '?').name}:{first.line}"
    degree = "–" if certificate.degree is None else str(certificate.degree)
    share = f"{affine} ({certificate.affine_set.size} of {certificate.size})"
    cells = (model.name, certificate.family, degree, share, blocks, quadratic, where, f"{seconds:.3f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    lines = [
        "# The closure check's zoo",
        "",
        "| model | family | degree | largest jointly affine set | blocks | quadratic blocks | "
        "first obstruction | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model in models():
        certificate, seconds = certified(model)
        if not bool(certificate.verify(model.fn, model.params, *model.args).ok):
            raise RuntimeError(f"{model.name}: the certificate is contradicted by differences")
        lines.append(row(model, certificate, seconds))
    device = np.asarray(jax.devices())[0].device_kind
    lines += [
        "",
        f"Seconds include tracing the function, first call in the process. {device}, float64, JAX {jax.__version__}, "
        f"Equinox {eqx.__version__}, Python {platform.python_version()}, {datetime.date.today().isoformat()}; "
        "`python benchmarks/closure/zoo.py`. Every certificate here is also checked by differences at random "
        "points (`verify`).",
    ]
    print("\n".join(lines))
    if options.write:
        (Path(__file__).parents[1] / "results" / "closure-zoo.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
