"""Foreign conformance suites against our brokers, our proxy and our links.

None of their code or data is here: they are read from a folder of the user's, see CONTRIBUTING.md and docs/conformance.md.
"""
