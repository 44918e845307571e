"""The model card: one HTML page that shows how a model was trained and how good it is. It has no scripts and fetches nothing.

`figures` takes the numbers out of a training, `drawing` makes pictures of numbers, `page` puts them together.
"""
