"""What stands on GitHub about a run, computed from the run and what is known around it, never from an event.

Computed twice it says the same. The parts: `report_check` (check runs), `report_deployment`, `report_config` (checks
without a run), `changelist` (the diff); all of them are reached from here.
"""

from app.core.report_check import check_name, check_report, segment
from app.core.report_config import ConfigView, config_report, failed_decision_report
from app.core.report_deployment import deployment_report
from app.core.runview import RunView

__all__ = [
    "ConfigView",
    "RunView",
    "check_name",
    "check_report",
    "config_report",
    "deployment_report",
    "failed_decision_report",
    "segment",
]
