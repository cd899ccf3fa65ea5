"""Faults injected into the running graph, and a referee who measures what follows: ``neon chaos``.

The graph under test is the real one (motor, guardian, ``g1_command``); a light robot (``stub``) and a policy that can
misbehave (``policy``) stand at its ends, each a process of its own.  What the robot heard, measured and what the motor
reported goes onto one ``tape`` with steady times; ``referee`` and ``reactions`` judge that tape and know no processes.
"""
