//! Files that are not what the store wrote: each is opened with all of its entries or refused untouched.

use super::*;
use crate::store::{DumpError, Incomplete, check, export, import};
use std::fs;
use std::path::Path;

/// Opens a file that may be damaged; whether it was refused. If not, all must be there.
fn refused(path: &Path, expected: &[Entry], case: &str) -> bool {
    let before = fs::read(path).unwrap();
    match DiskStore::open(path) {
        Ok(store) => {
            assert_eq!(contents(&store), expected, "{case}: opened with other contents");
            false
        }
        Err(error) => {
            assert!(error.to_string().starts_with(&path.display().to_string()), "{case}: {error}");
            assert!(fs::read(path).unwrap() == before, "{case}: refused, but changed");
            true
        }
    }
}

#[test]
fn a_file_that_is_no_store_is_refused_and_kept() {
    let scratch = Scratch::new();
    let mut noise = 1_u64;
    let mut random = |length: usize| -> Vec<u8> {
        std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (noise >> 56) as u8
        })
        .take(length)
        .collect()
    };
    for (case, content) in [
        ("empty", Vec::new()),
        ("text", b"# Notes\n".to_vec()),
        ("one byte", vec![b'F']),
        ("zeros", vec![0; 100_000]),
        ("short noise", random(100)),
        ("long noise", random(300_000)),
        ("a store's first bytes and noise", [b"FerroLB store\r\n\x1a".to_vec(), random(100_000)].concat()),
        ("a redb database", b"redb\x1A\x0A\xA9\x0D\x0A".repeat(1_000)),
    ] {
        fs::write(scratch.file(), &content).unwrap();
        assert!(refused(&scratch.file(), &[], case), "{case}");
    }
}

#[test]
fn an_error_names_the_file_and_the_way_out() {
    let scratch = Scratch::new();
    filled(&scratch);
    fs::OpenOptions::new().write(true).open(scratch.file()).unwrap().set_len(20_000).unwrap();
    let error = DiskStore::open(&scratch.file()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }));
    for part in [scratch.file().to_str().unwrap(), "check", "export", "import"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(check(&scratch.file()).unwrap().problem_count > 0);
}

#[test]
fn a_newer_format_is_refused_by_its_number() {
    let scratch = Scratch::new();
    filled(&scratch);
    let mut bytes = fs::read(scratch.file()).unwrap();
    bytes[16] = 9;
    fs::write(scratch.file(), bytes).unwrap();
    let error = DiskStore::open(&scratch.file()).unwrap_err();
    assert!(matches!(error, OpenError::Format { found: 9, supported: 1, .. }), "{error}");
}

#[test]
fn a_second_opener_is_refused_and_the_first_goes_on() {
    let scratch = Scratch::new();
    let store = DiskStore::open(&scratch.file()).unwrap();
    assert!(matches!(DiskStore::open(&scratch.file()), Err(OpenError::InUse { .. })));
    assert!(matches!(check(&scratch.file()), Err(OpenError::InUse { .. })));
    Runtime::new().unwrap().block_on(put(&store, "/a", "x"));
    drop(store);
    assert!(!DiskStore::open(&scratch.file()).unwrap().opened().created);
}

#[test]
fn a_truncated_file_is_refused_at_any_length() {
    let scratch = Scratch::new();
    let expected = filled(&scratch);
    let whole = fs::read(scratch.file()).unwrap();
    for part in 0..40 {
        let length = whole.len() * part / 40 + part;
        fs::write(scratch.file(), &whole[..length]).unwrap();
        assert!(refused(&scratch.file(), &expected, &format!("{length} bytes")), "{length} bytes");
    }
}

/// One bit wrong anywhere in use is noticed; in the header pages every byte is tried in turn.
#[test]
fn a_flipped_bit_is_harmless_or_refused() {
    let scratch = Scratch::new();
    let expected = filled(&scratch);
    let whole = fs::read(scratch.file()).unwrap();
    let headers = (0..48).chain(4_096..4_096 + 320);
    let spread = (0..whole.len()).step_by(whole.len() / 120 + 1);
    let mut refusals = 0;
    for (round, at) in headers.chain(spread).enumerate() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (round % 8);
        fs::write(scratch.file(), &bytes).unwrap();
        refusals += usize::from(refused(&scratch.file(), &expected, &format!("byte {at}")));
    }
    assert!(refusals > 50, "only {refusals}");
}

/// The same for a file that was not closed: redb would go back to an older state by itself.
#[test]
fn a_flipped_bit_after_a_crash_is_harmless_or_refused() {
    let scratch = Scratch::new();
    let store = DiskStore::open(&scratch.file()).unwrap();
    Runtime::new().unwrap().block_on(async {
        for index in 0..30 {
            put(&store, &format!("/{index}"), &"x".repeat(index * 50)).await;
        }
    });
    let (expected, whole) = (contents(&store), fs::read(scratch.file()).unwrap());
    drop(store);
    for (round, at) in (4_096..4_096 + 320).chain((0..whole.len()).step_by(whole.len() / 60 + 1)).enumerate()
    {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (round % 8);
        fs::write(scratch.file(), &bytes).unwrap();
        refused(&scratch.file(), &expected, &format!("byte {at}"));
    }
    fs::write(scratch.file(), &whole).unwrap();
    assert!(!refused(&scratch.file(), &expected, "as it was"));
}

#[test]
fn a_page_of_noise_is_harmless_or_refused_and_the_rest_can_be_exported() {
    let scratch = Scratch::new();
    let expected = filled(&scratch);
    let whole = fs::read(scratch.file()).unwrap();
    let mut saved = 0;
    for page in (0..whole.len() / 4_096).step_by(whole.len() / 4_096 / 60 + 1) {
        let mut bytes = whole.clone();
        bytes[page * 4_096..][..4_096].iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 31) as u8);
        fs::write(scratch.file(), &bytes).unwrap();
        if refused(&scratch.file(), &expected, &format!("page {page}")) {
            let mut text = Vec::new();
            if let Ok(exported) = export(&scratch.file(), &mut text) {
                assert!(!exported.problems.is_empty());
                saved = saved.max(exported.entries);
                let fresh = Scratch::new();
                let refused = import(&fresh.file(), &mut &text[..], Incomplete::Refuse);
                assert!(matches!(refused, Err(DumpError::Incomplete(_))), "page {page}");
                import(&fresh.file(), &mut &text[..], Incomplete::Accept).unwrap();
                let found = contents(&DiskStore::open(&fresh.file()).unwrap());
                assert_eq!(found.len() as u64, exported.entries);
                assert!(found.iter().all(|entry| expected.contains(entry)), "page {page}");
            }
        }
    }
    assert!(saved > 0, "nothing could be exported from any of them");
}

#[test]
fn a_file_that_went_back_is_refused() {
    let scratch = Scratch::new();
    let store = DiskStore::open(&scratch.file()).unwrap();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(put(&store, "/a", "one"));
    let older = fs::read(scratch.file()).unwrap();
    runtime.block_on(put(&store, "/a", "two"));
    drop(store);
    // The database as it was, below a header that has seen more.
    let header = fs::read(scratch.file()).unwrap()[..4_096].to_vec();
    fs::write(scratch.file(), [&header, &older[4_096..]].concat()).unwrap();
    let error = DiskStore::open(&scratch.file()).unwrap_err();
    assert!(error.to_string().contains("had reached revision 2"), "{error}");
}

/// A crash between giving a new store its name and dropping the draft's leaves one file with two names.
#[test]
fn what_is_left_of_making_a_store_is_never_written_to() {
    let scratch = Scratch::new();
    let expected = filled(&scratch);
    let (draft, moved) = (scratch.0.join("store.new"), scratch.0.join("moved"));
    fs::hard_link(scratch.file(), draft).unwrap();
    fs::rename(scratch.file(), &moved).unwrap();
    assert!(DiskStore::open(&scratch.file()).unwrap().opened().created);
    assert_eq!(contents(&DiskStore::open(&moved).unwrap()), expected);
}
