//! One machine against a script, and two against each other.

mod desk;
mod hostile;
mod openings;
mod pair;
mod recovery;
mod states;
mod stops;
mod stream;
mod virtual_link;
