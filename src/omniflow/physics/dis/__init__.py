"""Deep-inelastic scattering at HERA: kinematics, generator, sources, features, observables."""
