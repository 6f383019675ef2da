"""Baseline alert rules that a backtest compares the detector with."""
