"""What people said of alerts: labels, and what follows from them."""
