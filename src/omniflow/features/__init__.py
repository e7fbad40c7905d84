"""What networks see: features of particles and events, declared by expressions."""
