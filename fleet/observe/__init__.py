"""Records and reports; never influences what it watches."""
