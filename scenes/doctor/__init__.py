"""The data doctor: what goes wrong in one's own data, found before training."""

from scenes.doctor.data_root import DataRoot
from scenes.doctor.examination import CHECKS, examine, only_version
from scenes.doctor.findings import Diagnosis, Example, Finding, Severity

__all__ = ["CHECKS", "DataRoot", "Diagnosis", "Example", "Finding", "Severity", "examine", "only_version"]
