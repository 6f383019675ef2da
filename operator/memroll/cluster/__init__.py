"""The one Kubernetes adapter: raw JSON in, memroll's values out, foreign errors translated."""
