"""Jets in Z + jets at the LHC: generator, detector, and files as those of the public set."""
