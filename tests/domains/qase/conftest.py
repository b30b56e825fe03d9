"""Strategies and a stand-in of Qase's API, importable by the tests of every room below."""
