"""`rl-eval webtest explore`: explore an application, reproduce what failed, and report it.

Importing this is light: Playwright is loaded when the browser starts.
"""
