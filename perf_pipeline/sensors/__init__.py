"""One file per sensor: read state, call one pure function that decides, yield requests or record."""
