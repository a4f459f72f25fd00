//! Telling people, or programs, what was found.

use std::io::Write;

use serde::Serialize;

/// A result that people can read.
pub trait Table: Serialize {
    /// What it is about, and what was found.
    fn rows(&self) -> Vec<(String, String)>;
}

/// Writes a result as JSON, or as lines of two columns.
///
/// # Errors
/// When `out` can't be written to.
pub fn write(out: &mut impl Write, json: bool, result: &impl Table) -> anyhow::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, result)?;
        writeln!(out)?;
        return Ok(());
    }
    let rows = result.rows();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in rows {
        writeln!(out, "{name:<width$}  {value}")?;
    }
    Ok(())
}
