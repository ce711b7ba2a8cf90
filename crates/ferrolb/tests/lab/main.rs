//! The lab itself, and what FerroLB does in one as seen from its client. Everything here needs root and says so where it
//! is skipped.

mod announcing;
mod assigning;
mod bare_hosts;
mod choosing;
mod data_centre;
mod leftovers;
mod services;
mod site;
