"""A candidate's model in a process of its own: whatever it does, the pod and its stable revision go on."""
