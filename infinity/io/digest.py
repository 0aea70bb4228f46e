"""One name for a value: `digest = sha256(its JSON tree, its arrays)`, the same for equal types, numbers and bits."""

import hashlib
import json
from typing import Any

import numpy as np

from .codec import Encoder
from .vocabulary import Vocabulary


def digest(value: Any) -> str:
    """Name a value by what it holds.

    **Arguments:**

    - `value`: what a model file can hold: modules, arrays, numbers, strings, tuples, lists and dicts.

    **Returns:** 64 hexadecimal digits.

    **Raises:** `ValueError` for what has no place in a model file.

    ```python
    >>> import numpy as np
    >>> from infinity.io.digest import digest
    >>> digest({"a": np.arange(3)}) == digest({"a": np.array([0, 1, 2])})
    True
    >>> digest(1.0) == digest(1)
    False

    ```
    """
    encoder = Encoder(Vocabulary())
    found = hashlib.sha256(json.dumps(encoder.encode(value, "value")).encode())
    for array in encoder.arrays.values():
        found.update(np.asarray(array, order="C").data.cast("B") if array.size else b"")
    return found.hexdigest()
