//! The client against real servers on this machine.
