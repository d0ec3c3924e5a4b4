//! Guests that have their host keep things: pieces of nothing without end, and whatever a host function gives out.

/// Bodies of empty pieces.
mod empty;
/// What the host keeps for a guest.
mod held;
