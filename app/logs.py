"""How processes log: set up once by each door, before anything else."""

import logging
import sys

import structlog


def set_up_logging(level: str) -> None:
    """One line of logfmt for each event, on stderr. Nothing anywhere logs a header or a body."""
    number = logging.getLevelNamesMapping()[level.upper()]
    line = "%(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, format=line)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
