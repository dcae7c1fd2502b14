"""Logs: one line for each event, whoever says it."""

import subprocess
import sys

SAID = """
import logging
from app.logs import set_up_logging
set_up_logging("info")
logging.getLogger("psycopg.pool").warning("error connecting\\n\\tIs the server running?")
logging.getLogger("uvicorn.access").info("nobody asked")
"""


def test_a_librarys_warning_is_one_line_of_logfmt_too() -> None:
    done = subprocess.run([sys.executable, "-c", SAID], capture_output=True, text=True, timeout=60, check=True)
    (line,) = done.stderr.splitlines()
    told = 'level=warning event="error connecting\\n\\tIs the server running?" logger=psycopg.pool'
    assert line.startswith("timestamp=")
    assert line.replace("\t", "\\t").endswith(told)
