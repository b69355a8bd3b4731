"""Simulation: a seeded demo desk with known truth (`tickets`), for `frontdesk demo` and the tests."""
