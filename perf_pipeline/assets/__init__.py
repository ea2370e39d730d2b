"""One file per asset, named as the UI shows it. An asset loads, calls one pure function, and returns the frame."""
