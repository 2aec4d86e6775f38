"""The Governor: a pure plan of what a resource needs and the status it shows, and the edges that carry it out.

The package lives in a folder named operator, which is no package: the standard library owns that name.
"""
