"""Sizes of arrays: few different ones, so that tables of nearly the same length share a compiled program."""


def rounded_up(count: int) -> int:
    """The next number with at most three binary digits: 1 to 8, 10, 12, 14, 16, 20, 24, and so on, at most a quarter more.

    >>> from infinity.shapes import rounded_up
    >>> [rounded_up(count) for count in (1, 7, 9, 17, 1000)]
    [1, 7, 10, 20, 1024]
    """
    unit = 2 ** max(count.bit_length() - 3, 0)
    return -(-count // unit) * unit
