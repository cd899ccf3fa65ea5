"""Oracles: what must hold, written down again from the reference tables, apart from the code that is judged.

Nothing here imports the function it judges.  Numbers are typed from the vendor's tables, laws are plain formulas or
small-step simulations, the state machine is a list of transitions.
"""
