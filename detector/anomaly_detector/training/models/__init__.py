"""The kinds of model that can be trained, a file each."""
