"""The one Prometheus adapter: typed queries out, series in, foreign errors translated."""
