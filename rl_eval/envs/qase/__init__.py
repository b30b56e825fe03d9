"""Qase: test cases, their results, and what is known of each before a cycle (`docs/qase.md`)."""
