"""Simpler rules that a backtest compares the detector with."""
