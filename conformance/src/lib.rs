//! Holds the embedded API server against what a real one was recorded to answer.
//!
//! [`case`] is what is asked and [`kubectl`] which commands are run, [`run`] asks it of a [`world`], [`normal`] makes the answers comparable, [`record`]
//! keeps those of the real server, [`compare`] says what differs, and [`ledger`] which differences are known.
#![forbid(unsafe_code)]

pub mod case;
pub mod commands;
pub mod compare;
pub mod kubectl;
pub mod ledger;
pub mod normal;
pub mod programs;
pub mod record;
pub mod report;
pub mod run;
pub mod suite;
pub mod transport;
pub mod world;

mod pointer;
mod template;
mod yaml;
