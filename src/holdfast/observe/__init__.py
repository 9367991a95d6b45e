"""Metrics, structured logs and traces: what operators see. It knows nobody."""
