"""The prompt domain: improve a prompt by choosing mutations of its text, one at a time."""
