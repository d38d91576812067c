//! What kernel tests and the demo share.
