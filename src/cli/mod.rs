//! What the user typed: a file per command.
