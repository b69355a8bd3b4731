"""Simulation: a seeded demo desk with known truth (`tickets`, `emails`), for `frontdesk demo` and the tests."""
