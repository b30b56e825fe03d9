"""Classification tasks that prompts are for: the embedded ones, tasks of one's own, and start prompts."""
