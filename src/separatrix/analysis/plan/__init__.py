"""What a verb would cost, before it is begun: rows, bytes, FLOP, seconds by stage, memory, and the way it would take.

job      what is planned, and what is known of it before anything is measured
points   cluster, project, score
models   extract, heads
verb     `plan` and its result
"""

from separatrix.analysis.plan.verb import Plan, plan

__all__ = ["Plan", "plan"]
