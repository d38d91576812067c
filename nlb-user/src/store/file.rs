//! file
pub struct FileStore;
