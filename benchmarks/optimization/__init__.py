"""What optimizing the demo fleet's agents gains, and what it costs."""
