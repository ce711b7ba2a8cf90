//! One machine against a script, and two against each other.

mod desk;
mod openings;
mod states;
mod stops;
