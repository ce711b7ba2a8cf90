//! The lab itself, and what FerroLB does in one as seen from its client. Everything here needs root and says so where it
//! is skipped.
//!
//! `announcing`, `choosing` and `assigning` are the behaviours of upstream's acceptance tests for layer 2 and addresses, by
//! the numbers of their list. Not here: metrics of the controller (9) and its restart (28), which nobody sees from the
//! network and which `tests/components` and `tests/cli` have.

mod announcing;
mod assigning;
mod bare_hosts;
mod bgp;
mod both;
mod chaos;
mod choosing;
mod data_centre;
mod defending;
mod failing;
mod fencing;
mod leftovers;
mod placing;
mod services;
mod site;
