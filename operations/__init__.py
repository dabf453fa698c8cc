"""Commands for who operates a deployed stage: mend it, stop it, count what it costs.

They find everything by the outputs of the stage's stacks, in AWS and in the local cloud alike.
"""
