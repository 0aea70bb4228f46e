"""One-dimensional families of functions on a knot grid."""
