"""Keeps a group of processes running until it is told to stop, its starter dies, or it is killed; then nothing is left.

    starter --spawns--> keeper --forks--> supervisor --spawns--> components
       |  leash (a pipe)  |    death signal   |    death signal       |
       +------------------+-------------------+-----------------------+   any of them gone: everything right of it goes

The keeper outlives the supervisor to clean up: cgroups, the state folder. What even a killed keeper leaves behind is
files alone, which the next `up` or `down` removes. With `namespaces`, the supervisor is the first process of its own
process, mount and network namespaces, so that daemons, mounts and networks go with it too.

This is not a general service manager: it knows one machine, one folder and a list of commands.
"""
