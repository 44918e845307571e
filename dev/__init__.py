"""What a developer's machine needs and a user's does not: a cluster, a broker, the images, the demo.

Everything but the demo runs on the standard library alone, so that it works before there is a virtual environment.
"""
