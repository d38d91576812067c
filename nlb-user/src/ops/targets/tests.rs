//! Registering and deregistering, and where targets are.
