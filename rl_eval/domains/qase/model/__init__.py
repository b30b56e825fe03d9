"""What a Qase project holds: cases, results, and the log of executions that joins them."""
