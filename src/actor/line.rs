//! What is under a connection, from the side of a device that may not touch it.

/// The way to end a connection whose adapter does not answer.
pub trait Line: Send + Sync {
    /// Ends it at once; nothing more is written. Doing so twice does no harm.
    fn cut(&self);
}
