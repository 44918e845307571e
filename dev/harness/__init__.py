"""The product's processes as tests and measurements run them."""
