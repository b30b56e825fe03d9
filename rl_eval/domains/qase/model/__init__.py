"""A Qase project as typed data: its cases, the results of its runs, and the executions that connect them."""
