"""Tables in, models in and out."""

from .atomic import atomic_file, atomic_folder, check_writable
from .file import load, provenance, read_header, save, version_of
from .table import Table, column_names, read_table, write_table

__all__ = [
    "Table",
    "atomic_file",
    "atomic_folder",
    "check_writable",
    "column_names",
    "load",
    "provenance",
    "read_header",
    "read_table",
    "save",
    "version_of",
    "write_table",
]
