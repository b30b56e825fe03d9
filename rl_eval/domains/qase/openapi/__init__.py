"""Test cases from an OpenAPI description: reading it, values that fit its schemas, and a case for each way to call."""
