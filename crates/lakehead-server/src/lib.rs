//! The server: HTTP in front, the control plane beside it, the pipelines behind it. See `ARCHITECTURE.md`.

pub mod access;
pub mod api;
mod audit;
mod binding;
pub mod catalog;
pub mod catalogs;
mod columns;
pub mod config;
pub mod control;
pub mod demo;
pub mod environment;
pub mod front;
pub mod guesses;
pub mod hosts;
pub mod http;
pub mod ingest;
pub mod metrics;
mod preview;
pub mod runtime;
mod sources;
pub mod startup;
pub mod storage;
pub mod telemetry;
mod upkeep;
mod wiring;
