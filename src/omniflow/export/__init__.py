"""What leaves a finished study: binned results for HEPData, fits and ROOT."""
