r"""Linear and bilinear operations: sums, contractions, convolutions, Fourier transforms, linear systems.

\[ \textstyle\sum_k a_k = \bigcup_k a_k, \qquad (A B)_{ij} = \bigcup_k A_{ik} B_{kj},
\qquad A^{-1} b = \operatorname{adj}(A)\, b / \det A. \]
"""

from typing import Any

from ..algebra import ONE
from ..constants import Constant
from ..fields import accumulate, contract, join_axes, product_axes, union_all
from ..interpreter import Interpreter, Rule, Value
from ..packed import Packed, uniform
from ..terms import RECIPROCAL


def _sum(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [join_axes(walk.algebra, walk.terms(inputs[0]), tuple(equation.params["axes"]))]


def _product(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [product_axes(walk.algebra, walk.terms(inputs[0]), tuple(equation.params["axes"]))]


def _running_sum(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [
        accumulate(walk.algebra, walk.terms(inputs[0]), int(equation.params["axis"]), equation.params["reverse"], False)
    ]


def _running_product(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    return [
        accumulate(walk.algebra, walk.terms(inputs[0]), int(equation.params["axis"]), equation.params["reverse"], True)
    ]


def _contraction(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    contracting, batch = equation.params["dimension_numbers"]
    shape = equation.outvars[0].aval.shape
    return [contract(walk.algebra, walk.terms(inputs[0]), walk.terms(inputs[1]), contracting, batch, shape)]


def _convolution(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Bilinear; entries are told apart by sample and by output channel only."""
    image, kernel = walk.terms(inputs[0]), walk.terms(inputs[1])
    numbers = equation.params["dimension_numbers"]
    shape = tuple(equation.outvars[0].aval.shape)
    if 0 in image.shape or 0 in kernel.shape:
        return [uniform(ONE, shape)]
    sample = numbers.lhs_spec[0] if equation.params["batch_group_count"] == 1 else None
    image = join_axes(walk.algebra, image, [axis for axis in range(len(image.shape)) if axis != sample], keep=True)
    kernel = join_axes(
        walk.algebra, kernel, [axis for axis in range(len(kernel.shape)) if axis != numbers.rhs_spec[0]], keep=True
    )
    left, right = [1] * len(shape), [1] * len(shape)
    left[numbers.out_spec[0]] = image.core.size
    right[numbers.out_spec[1]] = kernel.core.size
    return [walk.multiply(Packed(image.core.reshape(left), shape), Packed(kernel.core.reshape(right), shape), shape)]


def _fourier(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    value = walk.terms(inputs[0])
    axes = range(len(value.shape) - len(equation.params["fft_lengths"]), len(value.shape))
    joined = join_axes(walk.algebra, value, axes, keep=True)
    return [Packed(joined.core, tuple(equation.outvars[0].aval.shape))]


def _window_sum(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    value = walk.terms(inputs[0])
    shape = tuple(equation.outvars[0].aval.shape)
    axes = [
        axis
        for axis, length in enumerate(equation.params["window_dimensions"])
        if length != 1 or value.shape[axis] != shape[axis]
    ]
    return [Packed(join_axes(walk.algebra, value, axes, keep=True).core, shape)]


def _joined_last(walk: Interpreter, value: Packed, axes: tuple[int, ...]) -> Packed:
    return join_axes(walk.algebra, value, [len(value.shape) + axis for axis in axes], keep=True)


def _inverse(walk: Interpreter, equation: Any, matrix: Packed) -> Packed:
    walk.assume("The matrix of a linear system is regular, and its solution is exact", equation)
    return walk.apply(RECIPROCAL, matrix, walk.cause(equation, "a linear system whose matrix depends on the parameter"))


def _triangular_solve(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    matrix, right = inputs
    shape = tuple(equation.outvars[0].aval.shape)
    axis = -2 if equation.params["left_side"] else -1
    result = _joined_last(walk, walk.terms(right), (axis,))
    if isinstance(matrix, Packed):
        inverse = _inverse(walk, equation, _joined_last(walk, matrix, (-1, -2)))
        result = walk.multiply(result, Packed(inverse.core, shape), shape)
    return [Packed(result.core, shape)]


def _tridiagonal_solve(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    *bands, right = inputs
    number = union_all(walk.algebra, walk.terms(right))
    varying = [band for band in bands if isinstance(band, Packed)]
    if varying:
        inverse = _inverse(walk, equation, uniform(union_all(walk.algebra, *varying), ()))
        number = walk.algebra.multiply(number, int(inverse.core))
    return walk.everywhere(equation, number)


def _linear_solve(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    """Solve, whatever method runs inside: the matrix is read off its product with a constant vector."""
    lengths, programs = equation.params["const_lengths"], equation.params["jaxprs"]
    matvec = programs.matvec
    captured = inputs[: lengths.matvec]
    right = inputs[sum(lengths) :]
    vectors: list[Value] = [
        Constant.unknown(variable.aval.shape, variable.aval.dtype) for variable in matvec.jaxpr.invars[lengths.matvec :]
    ]
    images = walk.within(equation, matvec.jaxpr, matvec.consts, [*captured, *vectors])
    walk.assume("A linear solve returns the exact solution of its system", equation)
    number = union_all(walk.algebra, *(walk.terms(value) for value in right))
    varying = [image for image in images if isinstance(image, Packed)]
    if varying:
        inverse = _inverse(walk, equation, uniform(union_all(walk.algebra, *varying), ()))
        number = walk.algebra.multiply(number, int(inverse.core))
    return walk.everywhere(equation, number)


def _factorisation(walk: Interpreter, equation: Any, inputs: list[Value]) -> list[Value]:
    cause = walk.cause(
        equation, f"a matrix factorisation ({equation.primitive.name}) of a matrix that depends on the parameter"
    )
    return walk.everywhere(equation, walk.opened(inputs, cause))


RULES: dict[str, Rule] = {
    "reduce_sum": _sum,
    "reduce_prod": _product,
    "cumsum": _running_sum,
    "cumprod": _running_product,
    "dot_general": _contraction,
    "conv_general_dilated": _convolution,
    "fft": _fourier,
    "reduce_window_sum": _window_sum,
    "triangular_solve": _triangular_solve,
    "tridiagonal_solve": _tridiagonal_solve,
    "custom_linear_solve": _linear_solve,
    **dict.fromkeys(
        ("lu", "qr", "cholesky", "eigh", "eig", "svd", "schur", "hessenberg", "householder_product", "tridiagonal"),
        _factorisation,
    ),
}
