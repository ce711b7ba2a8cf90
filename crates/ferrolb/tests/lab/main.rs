//! The lab itself, on this machine's network namespaces. Everything here needs root and says so where it is skipped.

mod data_centre;
mod leftovers;
mod services;
mod site;
