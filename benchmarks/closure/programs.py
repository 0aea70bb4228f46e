r"""Random programs with two meanings: one for JAX, one for NumPy on numbers or on classes of functions along a line.

Every value has three entries. Run on floats, the NumPy meaning gives finite differences at no compile time; run on
`Line` entries it says how each entry depends on t along \( \theta + t \delta \), worked out entry by entry and
independently of the closure check.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

N = 3
AFFINE, POLYNOMIAL, EXPONENTIAL, RATIONAL, OPEN = range(5)


class Line:
    """A function of t: an affine one exactly, any other by its class and degree."""

    def __init__(self, value: float, slope: float = 0.0, kind: int = AFFINE, degree: int | None = None) -> None:
        self.value, self.slope, self.kind = float(value), float(slope), kind
        if not (np.isfinite(self.value) and np.isfinite(self.slope)):
            self.value, self.slope, self.kind, degree = (
                np.nan,
                0.0,
                AFFINE,
                0,
            )  # no statement about what is not a number
        self.degree = (1 if slope else 0) if degree is None else degree

    @property
    def constant(self) -> bool:
        """Whether it does not depend on t."""
        return self.kind == AFFINE and self.slope == 0

    def _like(self, other: Any) -> "Line":
        return other if isinstance(other, Line) else Line(other)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return np.array([self + entry for entry in other], object)
        other = self._like(other)
        if self.kind == other.kind == AFFINE:
            return Line(self.value + other.value, self.slope + other.slope)
        kind = max(self.kind, other.kind)
        return Line(0, 0, kind, max(self.degree, other.degree))

    __radd__ = __add__

    def __neg__(self) -> "Line":
        return self * -1.0

    def __sub__(self, other: Any) -> "Line":
        return self + self._like(other) * -1.0

    def __rsub__(self, other: Any) -> "Line":
        return self._like(other) - self

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return np.array([self * entry for entry in other], object)
        other = self._like(other)
        for one, two in ((self, other), (other, self)):
            if one.constant:
                if np.isnan(one.value):
                    return Line(np.nan)
                if one.value == 0:
                    return Line(0)
                return Line(one.value * two.value, one.value * two.slope, two.kind, two.degree)
        kind = max(self.kind, other.kind, POLYNOMIAL)
        return Line(0, 0, kind, self.degree + other.degree)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> "Line":
        other = self._like(other)
        if other.constant:
            return self * (1.0 / other.value if other.value else np.nan)
        if self.constant and self.value == 0:
            return Line(0)
        return Line(0, 0, max(self.kind, other.kind, RATIONAL), 0)

    def __rtruediv__(self, other: Any) -> "Line":
        return self._like(other) / self

    def function(self, host: Callable[[float], float], lifted: int) -> "Line":
        """Return a function of one entry: of class `lifted` when the entry is affine."""
        if self.constant:
            return Line(host(self.value))
        return Line(0, 0, lifted if self.kind == AFFINE else OPEN, 0)


def _each(host: Callable[..., float], lifted: int) -> Callable[[np.ndarray], np.ndarray]:
    def apply(x: np.ndarray) -> np.ndarray:
        return np.array([v.function(host, lifted) if isinstance(v, Line) else host(v) for v in x], x.dtype)

    return apply


def _mixed(host: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Any function of whole arrays: open in all entries as soon as one depends on t."""

    def apply(*arrays: np.ndarray) -> np.ndarray:
        if any(array.dtype == object for array in arrays):
            entries = [v for array in arrays for v in array.reshape(-1) if isinstance(v, Line)]
            if all(v.constant for v in entries):
                plain = [
                    np.array([v.value if isinstance(v, Line) else v for v in array.reshape(-1)]).reshape(array.shape)
                    for array in arrays
                ]
                return np.array([Line(v) for v in np.asarray(host(*plain)).reshape(-1)], object)
            return np.array([Line(0, 0, OPEN, 0) for _ in range(N)], object)
        return np.asarray(host(*arrays), float)

    return apply


def _entrywise_open(host: Callable[..., float]) -> Callable[..., np.ndarray]:
    def apply(*arrays: np.ndarray) -> np.ndarray:
        out = []
        for entries in zip(*arrays, strict=True):
            if any(isinstance(v, Line) and not v.constant for v in entries):
                out.append(Line(0, 0, OPEN, 0))
            else:
                value = host(*(v.value if isinstance(v, Line) else v for v in entries))
                out.append(Line(value) if any(isinstance(v, Line) for v in entries) else value)
        return np.array(out, object if any(isinstance(v, Line) for v in out) else float)

    return apply


def _chosen(condition: Callable[..., bool]) -> Callable[..., np.ndarray]:
    """Entrywise choice between the last two arrays by a condition on the others."""

    def apply(*arrays: np.ndarray) -> np.ndarray:
        out: list[Any] = []
        for entries in zip(*arrays, strict=True):
            *deciding, yes, no = entries
            if any(isinstance(v, Line) and not v.constant for v in deciding):
                out.append(Line(0, 0, OPEN, 0))
            else:
                out.append(yes if condition(*(v.value if isinstance(v, Line) else v for v in deciding)) else no)
        return np.array(out, object if any(isinstance(v, Line) for v in out) else float)

    return apply


def _accumulate(combine: Callable[[Any, Any], Any]) -> Callable[[np.ndarray], np.ndarray]:
    def apply(x: np.ndarray) -> np.ndarray:
        out = [x[0]]
        for entry in x[1:]:
            out.append(combine(out[-1], entry))
        return np.array(out, x.dtype)

    return apply


def _product(x: np.ndarray) -> Any:
    return x[0] * x[1] * x[2]


def _solve(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cramer's rule, so that it works on classes of functions too."""

    def determinant(a: np.ndarray) -> Any:
        return (
            a[0, 0] * (a[1, 1] * a[2, 2] - a[1, 2] * a[2, 1])
            - a[0, 1] * (a[1, 0] * a[2, 2] - a[1, 2] * a[2, 0])
            + a[0, 2] * (a[1, 0] * a[2, 1] - a[1, 1] * a[2, 0])
        )

    whole = determinant(matrix)
    columns = []
    for column in range(N):
        changed = matrix.astype(object)
        changed[:, column] = right
        columns.append(determinant(changed) / whole)
    return np.array(columns, object if any(isinstance(v, Line) for v in columns) else float)


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _spread(value: Any, like: np.ndarray) -> np.ndarray:
    return np.array([value] * N, like.dtype)


@jax.custom_jvp
def _custom_square(x: Any) -> Any:
    return x * x


_custom_square.defjvp(lambda primals, tangents: (primals[0] ** 2, 2 * primals[0] * tangents[0]))

MATRIX = np.array([[2.0, 1.0, 0.0], [0.5, 3.0, -1.0], [0.0, 0.25, 1.5]])
MASK = np.array([1.0, 0.0, 1.0])
VECTOR = np.array([0.5, -1.5, 2.0])


@dataclass(frozen=True)
class Operation:
    """One step of a program: how many values it takes, and its two meanings; both get the data last."""

    name: str
    arity: int
    jax: Callable[..., Any]
    host: Callable[..., np.ndarray]
    weight: int = 1


def _loop(x: Any, y: Any, d: Any) -> Any:
    return jax.lax.fori_loop(0, 3, lambda i, c: c + y[i] * x, x)


def _host_loop(x: np.ndarray, y: np.ndarray, d: np.ndarray) -> np.ndarray:
    carry = x
    for i in range(3):
        carry = carry + y[i] * x
    return carry


def _counted(x: Any, d: Any) -> Any:
    steps = (jnp.abs(d[0]) * 3).astype(int)
    return jax.lax.while_loop(lambda s: s[0] < steps, lambda s: (s[0] + 1, s[1] * 0.5 + x), (0, x))[1]


def _host_counted(x: np.ndarray, d: np.ndarray) -> np.ndarray:
    carry = x
    for _ in range(int(abs(d[0]) * 3)):
        carry = carry * 0.5 + x
    return carry


def _index(d: Any, xp: Any) -> Any:
    return xp.clip((xp.abs(d) * 2).astype(int), 0, N - 1)


def _set(x: np.ndarray, place: Any, value: Any) -> np.ndarray:
    out = x.astype(object)
    out[place] = value
    return out if any(isinstance(v, Line) for v in out) else out.astype(float)


def _added(x: np.ndarray, places: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = x.astype(object)
    for place, value in zip(places, y, strict=True):
        out[place] = out[place] + value
    return out if any(isinstance(v, Line) for v in out) else out.astype(float)


def _multiplied(x: np.ndarray, places: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = x.astype(object)
    for place, value in zip(places, y, strict=True):
        out[place] = out[place] * value
    return out if any(isinstance(v, Line) for v in out) else out.astype(float)


def _host_softmax(x: np.ndarray) -> np.ndarray:
    powers = _each(np.exp, EXPONENTIAL)(x)
    return powers / (powers[0] + powers[1] + powers[2])


def _host_cond(x: np.ndarray, y: np.ndarray, d: np.ndarray) -> np.ndarray:
    return x * y if d[1] > 0 else x + y


def _host_open_cond(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    total = x[0] + x[1] + x[2]
    if isinstance(total, Line) and not total.constant:
        return np.array([Line(0, 0, OPEN, 0)] * N, object)
    value = total.value if isinstance(total, Line) else total
    return y if value > 0 else y * 2.0


def _host_circulant(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.array([sum((x[(i - j) % N] * kernel[j] for j in range(N)), 0.0 * x[0]) for i in range(N)], x.dtype)


def _host_convolve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    out = [x[0] * y[1] + x[1] * y[0], x[0] * y[2] + x[1] * y[1] + x[2] * y[0], x[1] * y[2] + x[2] * y[1]]
    return np.array(out, object if any(isinstance(v, Line) for v in out) else float)


def _power_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    def power(base: Any, exponent: Any) -> Any:
        value = base.value if isinstance(base, Line) and base.constant else base
        if isinstance(exponent, Line) and not isinstance(value, Line):
            return exponent.function(lambda v: np.float64(abs(value)) ** v, EXPONENTIAL)
        return _entrywise_open(lambda a, b: np.float64(abs(a)) ** b)(np.array([base]), np.array([exponent]))[0]

    out = [power(base, exponent) for base, exponent in zip(x, y, strict=True)]
    return np.array(out, object if any(isinstance(v, Line) for v in out) else float)


def _operations() -> list[Operation]:
    op = Operation
    return [
        op("add", 2, lambda x, y, d: x + y, lambda x, y, d: x + y, 4),
        op("subtract", 2, lambda x, y, d: x - y, lambda x, y, d: x - y, 2),
        op("multiply", 2, lambda x, y, d: x * y, lambda x, y, d: x * y, 4),
        op("divide", 2, lambda x, y, d: x / y, lambda x, y, d: x / y),
        op("scale", 1, lambda x, d: x * d, lambda x, d: x * d, 3),
        op("shift", 1, lambda x, d: x + VECTOR, lambda x, d: x + VECTOR, 2),
        op("mask", 1, lambda x, d: x * MASK, lambda x, d: x * MASK),
        op("square", 1, lambda x, d: x**2, lambda x, d: x * x),
        op("cube", 1, lambda x, d: x**3, lambda x, d: x * x * x),
        op("inverse", 1, lambda x, d: x**-1, lambda x, d: 1.0 / x),
        op("exp", 1, lambda x, d: jnp.exp(x), lambda x, d: _each(np.exp, EXPONENTIAL)(x), 2),
        op("sin", 1, lambda x, d: jnp.sin(x), lambda x, d: _each(np.sin, EXPONENTIAL)(x), 2),
        op("cosh", 1, lambda x, d: jnp.cosh(x), lambda x, d: _each(np.cosh, EXPONENTIAL)(x)),
        op("expm1", 1, lambda x, d: jnp.expm1(x), lambda x, d: _each(np.expm1, EXPONENTIAL)(x)),
        op("two_to", 1, lambda x, d: 2.0**x, lambda x, d: _each(lambda v: 2.0**v, EXPONENTIAL)(x)),
        op("tanh", 1, lambda x, d: jnp.tanh(x), lambda x, d: _each(np.tanh, RATIONAL)(x), 2),
        op(
            "logistic",
            1,
            lambda x, d: jax.nn.sigmoid(x),
            lambda x, d: _each(lambda v: 1 / (1 + np.exp(-v)), RATIONAL)(x),
        ),
        op("root", 1, lambda x, d: jnp.sqrt(jnp.abs(x)), lambda x, d: _each(lambda v: np.sqrt(abs(v)), OPEN)(x)),
        op("log", 1, lambda x, d: jnp.log1p(x * x), lambda x, d: _each(np.log1p, OPEN)(x * x)),
        op("abs", 1, lambda x, d: jnp.abs(x), lambda x, d: _each(lambda v: abs(v), OPEN)(x)),
        op("relu", 1, lambda x, d: jax.nn.relu(x), lambda x, d: _each(lambda v: max(v, 0.0), OPEN)(x)),
        op("floor", 1, lambda x, d: jnp.floor(x), lambda x, d: _each(np.floor, OPEN)(x)),
        op("sign", 1, lambda x, d: jnp.sign(x), lambda x, d: _each(np.sign, OPEN)(x)),
        op(
            "clip",
            1,
            lambda x, d: jnp.clip(x, -0.5, 0.5),
            lambda x, d: _each(lambda v: float(np.clip(v, -0.5, 0.5)), OPEN)(x),
        ),
        op("maximum", 2, lambda x, y, d: jnp.maximum(x, y), lambda x, y, d: _entrywise_open(max)(x, y)),
        op("power", 2, lambda x, y, d: jnp.abs(x) ** y, lambda x, y, d: _power_of(x, y)),
        op("where", 3, lambda x, y, z, d: jnp.where(x > 0, y, z), lambda x, y, z, d: _chosen(lambda v: v > 0)(x, y, z)),
        op(
            "where_two",
            3,
            lambda x, y, z, d: jnp.where(x < y, z, 0.0),
            lambda x, y, z, d: _chosen(lambda v, w: v < w)(x, y, z, 0.0 * VECTOR),
        ),
        op(
            "where_data",
            2,
            lambda x, y, d: jnp.where(d > 0, x, y),
            lambda x, y, d: _chosen(lambda v: v > 0)(d, x, y),
            2,
        ),
        op(
            "where_mask",
            2,
            lambda x, y, d: jnp.where(MASK > 0, x, y),
            lambda x, y, d: _chosen(lambda v: v > 0)(MASK, x, y),
            2,
        ),
        op("reverse", 1, lambda x, d: x[::-1], lambda x, d: x[::-1]),
        op("roll", 1, lambda x, d: jnp.roll(x, 1), lambda x, d: np.roll(x, 1)),
        op("permute", 1, lambda x, d: x[jnp.array([2, 0, 1])], lambda x, d: x[[2, 0, 1]]),
        op("pick", 1, lambda x, d: x[_index(d, jnp)], lambda x, d: x[_index(d, np)], 2),
        op("pick_one", 1, lambda x, d: jnp.full(N, x[_index(d, jnp)[0]]), lambda x, d: _spread(x[_index(d, np)[0]], x)),
        op(
            "slice_at",
            2,
            lambda x, y, d: jax.lax.dynamic_slice(jnp.concatenate([x, y]), (_index(d, jnp)[1],), (N,)),
            lambda x, y, d: np.concatenate([x, y])[_index(d, np)[1] :][:N],
        ),
        op(
            "update_at",
            2,
            lambda x, y, d: jax.lax.dynamic_update_slice(x, y[:1], (_index(d, jnp)[2],)),
            lambda x, y, d: _set(x, _index(d, np)[2], y[0]),
        ),
        op("sum", 1, lambda x, d: jnp.full(N, jnp.sum(x)), lambda x, d: _spread(x[0] + x[1] + x[2], x)),
        op("product", 1, lambda x, d: jnp.full(N, jnp.prod(x)), lambda x, d: _spread(_product(x), x), 2),
        op("mean_out", 1, lambda x, d: x - jnp.mean(x), lambda x, d: x - (x[0] + x[1] + x[2]) / 3.0),
        op("running_sum", 1, lambda x, d: jnp.cumsum(x), lambda x, d: _accumulate(lambda a, b: a + b)(x)),
        op("running_product", 1, lambda x, d: jnp.cumprod(x), lambda x, d: _accumulate(lambda a, b: a * b)(x)),
        op("running_maximum", 1, lambda x, d: jax.lax.cummax(x), lambda x, d: _mixed(np.maximum.accumulate)(x)),
        op(
            "matrix",
            1,
            lambda x, d: MATRIX @ x,
            lambda x, d: np.array([sum((MATRIX[i, j] * x[j] for j in range(N)), 0.0 * x[0]) for i in range(N)]),
        ),
        op(
            "inner",
            2,
            lambda x, y, d: jnp.full(N, x @ y),
            lambda x, y, d: _spread(x[0] * y[0] + x[1] * y[1] + x[2] * y[2], x * y),
        ),
        op(
            "outer",
            3,
            lambda x, y, z, d: jnp.einsum("i,j,j->i", x, y, z),
            lambda x, y, z, d: x * (y[0] * z[0] + y[1] * z[1] + y[2] * z[2]),
        ),
        op("set_one", 2, lambda x, y, d: x.at[1].set(y[0]), lambda x, y, d: _set(x, 1, y[0]), 2),
        op("scatter_add", 2, lambda x, y, d: x.at[_index(d, jnp)].add(y), lambda x, y, d: _added(x, _index(d, np), y)),
        op(
            "scatter_multiply",
            2,
            lambda x, y, d: x.at[_index(d, jnp)].multiply(y),
            lambda x, y, d: _multiplied(x, _index(d, np), y),
        ),
        op(
            "scan",
            1,
            lambda x, d: jax.lax.scan(lambda c, v: (c * 0.5 + v, c), x[0], x)[1],
            lambda x, d: np.array([x[0], x[0] * 0.5 + x[0], (x[0] * 0.5 + x[0]) * 0.5 + x[1]], x.dtype),
        ),
        op(
            "scan_product",
            1,
            lambda x, d: jnp.full(N, jax.lax.scan(lambda c, v: (c * v, None), 1.0 * d[0], x)[0]),
            lambda x, d: _spread(_product(x) * d[0], x),
        ),
        op("loop", 2, _loop, _host_loop),
        op("counted", 1, _counted, _host_counted),
        op(
            "cond_data",
            2,
            lambda x, y, d: jax.lax.cond(d[1] > 0, lambda a, b: a * b, lambda a, b: a + b, x, y),
            _host_cond,
        ),
        op(
            "cond_open",
            2,
            lambda x, y, d: jax.lax.cond(jnp.sum(x) > 0, lambda b: b, lambda b: b * 2.0, y),
            lambda x, y, d: _host_open_cond(x, y),
        ),
        op("jitted", 2, lambda x, y, d: jax.jit(lambda a, b: a * b + a)(x, y), lambda x, y, d: x * y + x),
        op(
            "mapped",
            2,
            lambda x, y, d: jax.vmap(lambda a, b: a * b - jnp.sin(a))(x, y),
            lambda x, y, d: x * y - _each(np.sin, EXPONENTIAL)(x),
        ),
        op("remat", 1, lambda x, d: jax.checkpoint(lambda a: a * a + 1.0)(x), lambda x, d: x * x + 1.0),
        op("custom", 1, lambda x, d: _custom_square(x), lambda x, d: x * x),
        op("stopped", 1, lambda x, d: jax.lax.stop_gradient(x), lambda x, d: _same(x)),
        op("sort", 1, lambda x, d: jnp.sort(x), lambda x, d: _mixed(np.sort)(x)),
        op("largest", 1, lambda x, d: jnp.full(N, jnp.max(x)), lambda x, d: _mixed(lambda v: np.full(N, v.max()))(x)),
        op("softmax", 1, lambda x, d: jax.nn.softmax(x), lambda x, d: _host_softmax(x), 2),
        op("solve", 1, lambda x, d: jnp.linalg.solve(jnp.asarray(MATRIX), x), lambda x, d: _solve(MATRIX, x)),
        op(
            "solve_for",
            2,
            lambda x, y, d: jnp.linalg.solve(MATRIX + jnp.diag(0.1 * x), y),
            lambda x, y, d: _solve(
                np.array([[MATRIX[i, j] + (x[i] * 0.1 if i == j else 0.0) for j in range(N)] for i in range(N)]), y
            ),
        ),
        op(
            "fourier",
            1,
            lambda x, d: jnp.fft.ifft(jnp.fft.fft(x) * jnp.fft.fft(VECTOR)).real,
            lambda x, d: _host_circulant(x, VECTOR),
        ),
        op("convolve", 2, lambda x, y, d: jnp.convolve(x, y)[1:4], lambda x, y, d: _host_convolve(x, y)),
        op(
            "norm",
            1,
            lambda x, d: jnp.full(N, jnp.linalg.norm(x)),
            lambda x, d: _mixed(lambda v: np.full(N, np.linalg.norm(v)))(x),
        ),
        op("nothing", 1, lambda x, d: x * 0.0 + d, lambda x, d: x * 0.0 + d),
        op(
            "window",
            1,
            lambda x, d: jax.lax.reduce_window(x, 0.0, jax.lax.add, (2,), (1,), [(0, 1)]),
            lambda x, d: np.array([x[0] + x[1], x[1] + x[2], x[2]], x.dtype),
        ),
        op(
            "pad",
            1,
            lambda x, d: jax.lax.pad(x, 0.0 * x[0], [(2, -2, 0)]),
            lambda x, d: np.array([0.0 * x[0], 0.0 * x[0], x[0]], x.dtype),
        ),
    ]


OPERATIONS = _operations()
_WEIGHTS = np.array([operation.weight for operation in OPERATIONS], float)
SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (2, 3), (6,))


def _heads(xp: Any, leaf: Any) -> list[Any]:
    """Return the values of three entries that a leaf gives."""
    if leaf.ndim == 0:
        return [leaf * xp.ones(N)] if xp is jnp else [np.array([leaf.item() * 1.0] * N, leaf.dtype)]
    if leaf.shape == (3,):
        return [leaf]
    if leaf.shape == (2, 3):
        return [leaf[0], leaf[1], leaf[0] + leaf[1]]
    return [leaf[:3], leaf[3:], leaf[::2], leaf.reshape(3, 2)[:, 1]]


@dataclass
class Program:
    """A random program: the shapes of its leaves, its steps, and what it returns."""

    shapes: list[tuple[int, ...]]
    steps: list[tuple[int, tuple[int, ...]]]
    outputs: list[int]
    loss: bool
    names: list[str] = field(default_factory=list)

    def run(self, xp: Any, leaves: Any, data: Any) -> Any:
        """Return the output, for JAX (`jax.numpy`) or on the host (`numpy`)."""
        values = [value for leaf in leaves for value in _heads(xp, leaf)]
        for number, operands in self.steps:
            operation = OPERATIONS[number]
            meaning = operation.jax if xp is jnp else operation.host
            values.append(meaning(*(values[operand] for operand in operands), data))
        chosen = xp.concatenate([values[output] for output in self.outputs])
        if not self.loss:
            return chosen
        squares = chosen * chosen
        return xp.sum(squares) if xp is jnp else np.array([sum(list(squares[1:]), squares[0])], squares.dtype)


def random_program(seed: int) -> Program:
    """Return the program of a seed."""
    random = np.random.default_rng(seed)
    shapes = [SHAPES[place] for place in random.integers(0, len(SHAPES), random.integers(1, 5))]
    count = sum({(): 1, (3,): 1, (2, 3): 3, (6,): 4}[shape] for shape in shapes)
    steps, names = [], []
    for _ in range(random.integers(2, 9)):
        number = int(random.choice(len(OPERATIONS), p=_WEIGHTS / _WEIGHTS.sum()))
        operation = OPERATIONS[number]
        recent = [max(0, count - 1 - int(random.exponential(2.5))) for _ in range(operation.arity)]
        operands = tuple(int(random.integers(0, count)) if random.random() < 0.4 else place for place in recent)
        steps.append((number, operands))
        names.append(operation.name)
        count += 1
    outputs = [count - 1] + ([int(random.integers(0, count))] if random.random() < 0.5 else [])
    return Program(shapes, steps, outputs, bool(random.random() < 0.25), names)
