"""Execute: run the stages that a walk asks for, side by side, and hand over what came out.

Rule: decides nothing that a plan decides (it asks the walk again) and publishes nothing; every finished run goes to
the sink it is given before anything is built on it.
"""
