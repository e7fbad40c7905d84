"""Deep-inelastic scattering at HERA: kinematics, generator, detector, samples, observables."""
