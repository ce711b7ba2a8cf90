//! Any bytes are documents or one error with a place.
#![no_main]

use ferrolb::cli::documents::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = read(bytes) {
        assert!(error.place.line >= 1 && error.place.column >= 1);
    }
});
