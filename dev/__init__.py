"""Development tools that no user's machine needs: a cluster, a broker, the images, the demo, the benchmarks.

Everything but the demo runs on the standard library alone, so that it works before there is a virtual environment.
"""
