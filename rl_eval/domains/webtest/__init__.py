"""Testing web applications: explore pages, fill forms, find failures, in generated applications or in a browser."""
