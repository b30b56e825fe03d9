"""Readers of what Qase and its reporters write: exports, REST pages, result files, older records."""
