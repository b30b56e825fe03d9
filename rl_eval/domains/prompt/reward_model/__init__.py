"""The reward model: what a language model would score a prompt, learned from the table of the training tasks."""
