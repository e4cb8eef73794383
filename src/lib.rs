//! yizhan (驿站): an instant-messaging runtime in which every connected device and every message on its way is an actor.
//!
//! docs/ARCHITECTURE.md is the map; the modules stand here in the order of its layers.

// 0: names, numbers and settings.
pub mod code;
pub mod config;
pub mod id;
pub mod token;
pub mod webhook;

// 1: pure.
pub mod codec;
pub mod erl;
pub mod machine;
pub mod message;

// 2: ports.
pub mod clock;
pub mod metrics;
pub mod store;

// 3: actors.
pub mod actor;

// 4: edges.
pub mod gateway;
pub mod http;
pub mod relay;
pub mod shell;

// 5: the root.
pub mod node;

// 6: a client of its own.
pub mod load;

// 7: the command line.
pub mod cli;
