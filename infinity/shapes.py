"""Sizes of arrays: few different ones, so that tables of nearly the same length share a compiled program, and as large as the device likes them."""

import jax

# Numbers that one block of rows makes off the CPU: many enough for thousands of threads, few enough for the memory of any such device.
ACCELERATOR_NUMBERS = 2**25


def rounded_up(count: int) -> int:
    """The next number with at most three binary digits: 1 to 8, 10, 12, 14, 16, 20, 24, and so on, at most a quarter more.

    >>> from infinity.shapes import rounded_up
    >>> [rounded_up(count) for count in (1, 7, 9, 17, 1000)]
    [1, 7, 10, 20, 1024]
    """
    unit = 2 ** max(count.bit_length() - 3, 0)
    return -(-count // unit) * unit


def rows_at_once(on_cpu: int, rows: int, numbers: int) -> int:
    """How many rows to work on together: on a CPU few, whose numbers stay in its cache; on another device as many as keep it busy.

    **Arguments:** the rows on a CPU; all `rows` there are; the `numbers` that each of them makes.

    >>> from infinity.shapes import rows_at_once
    >>> rows_at_once(512, 100_000, 640)  # where there is nothing but a CPU
    512
    """
    if jax.default_backend() == "cpu":
        return on_cpu
    most = 1 << max(ACCELERATOR_NUMBERS // max(numbers, 1), 1).bit_length() - 1
    return max(on_cpu, min(most, 1 << (rows - 1).bit_length()))
