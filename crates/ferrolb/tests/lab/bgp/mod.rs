//! Sessions of BGP with real routers, asserted on the routers' side.

mod routers;

use std::io::Write;

use ferrolb::lab::Options;
use ferrolb::lab::routers::Kind;

/// Options of a lab for these routers. Nothing where one of them is not installed, which is said.
fn options_with(kinds: &[Kind]) -> Option<Options> {
    let options = crate::site::options()?;
    if let Err(reason) = kinds.iter().try_for_each(|kind| kind.can_run()) {
        let _ = writeln!(std::io::stderr(), "skipped: {reason}");
        assert!(std::env::var_os("CI").is_none(), "CI skips nothing: {reason}");
        return None;
    }
    Some(options)
}
