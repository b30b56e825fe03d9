"""Classification tasks that prompts are for: the embedded ones, tasks of your own, and start prompts."""
