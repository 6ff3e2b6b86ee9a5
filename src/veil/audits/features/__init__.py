"""The audit of features that a client sends."""

from veil.audits.features.api import audit_client
from veil.audits.features.result import FeatureAuditResult

__all__ = ["FeatureAuditResult", "audit_client"]
