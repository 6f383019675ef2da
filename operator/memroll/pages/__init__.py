"""HTML pages: templates with values in, one self-contained page without scripts out. Called by backtest and report."""
