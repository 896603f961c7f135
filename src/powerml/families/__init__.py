"""One file for each family: its search space and its network.

Every module here is a family, named as its file, with an object ``family`` that satisfies
`powerml.topology.Family`. Nothing else has to be edited to add one.
"""
