//! A store that is not in use: checked, printed, made anew.

use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use apiserver::serve::files;
use apiserver::store::{self, Incomplete};

use crate::cli::output::{self, counted};
use crate::cli::{Format, exit, print, yaml};

pub(super) fn check(path: &Path, format: Format) -> anyhow::Result<u8> {
    let checked = store::check(path)?;
    match format {
        Format::Json => print(&output::json(&checked)?)?,
        Format::Yaml => print(&yaml::stream(&[serde_json::to_value(&checked)?])?)?,
        Format::Table => {
            let entries = if checked.entries == 1 { "entry" } else { "entries" };
            print(&format!(
                "revision {}, {} {entries} of {} bytes in a file of {} bytes, {}\n",
                checked.revision,
                checked.entries,
                checked.value_bytes,
                checked.file_bytes,
                if checked.problem_count == 0 { "no damage" } else { "damaged" },
            ))?;
        }
    }
    for problem in &checked.problems {
        eprintln!("error: {problem}");
    }
    let unlisted = checked.problem_count - checked.problems.len() as u64;
    if unlisted > 0 {
        eprintln!("error: and {}", counted(usize::try_from(unlisted).unwrap_or(usize::MAX), "more problem"));
    }
    if checked.needs_repair {
        eprintln!(
            "note: the list of free space is wrong; the next start repairs it, and no entry is affected"
        );
    }
    if checked.problem_count > 0 {
        eprintln!(
            "note: `ferrolb apiserver export` saves what can be read; move the damaged file away, and \
             `ferrolb apiserver import --incomplete` makes a new store of it"
        );
        return Ok(exit::INVALID);
    }
    Ok(0)
}

pub(super) fn export(path: &Path) -> anyhow::Result<u8> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let exported = match store::export(path, &mut out) {
        // Whoever reads the export has seen enough of it.
        Err(store::DumpError::Io(error)) => return Err(error.into()),
        other => other?,
    };
    out.flush()?;
    for problem in &exported.problems {
        eprintln!("error: {problem}");
    }
    eprintln!("exported {} entries at revision {}", exported.entries, exported.revision);
    if exported.problems.is_empty() {
        return Ok(0);
    }
    eprintln!("error: the export is incomplete: at least {} entries are missing", exported.unreadable);
    Ok(exit::INVALID)
}

pub(super) fn import(data_dir: &Path, incomplete: bool) -> anyhow::Result<u8> {
    files::make_private_directory(data_dir)?;
    let incomplete = if incomplete { Incomplete::Accept } else { Incomplete::Refuse };
    let imported =
        store::import(&crate::embedded::store_file(data_dir), &mut std::io::stdin().lock(), incomplete);
    let imported = imported.context("nothing was imported")?;
    eprintln!("imported {} entries at revision {}", imported.entries, imported.revision);
    Ok(0)
}
