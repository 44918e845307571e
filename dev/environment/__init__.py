"""The cluster, the broker and the images that development, demo and tests run on."""
