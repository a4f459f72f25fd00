//! Telling people, or programs, what was found.

use std::io::Write;

use serde::Serialize;

/// A result that people can read.
pub trait Table: Serialize {
    /// What it is about, and what was found.
    fn rows(&self) -> Vec<(String, String)>;
}

/// A result that can be held to a promise.
pub trait Promise: Table {
    /// What was promised, in a few words.
    fn about(&self) -> String;

    /// What was seen, in one line.
    fn figures(&self) -> String;

    /// What does not hold; nothing when the promise is kept.
    fn broken(&self) -> Vec<String>;
}

/// Writes a result as lines of two columns and one line for a log of guarantees, unless only JSON is wanted, and then as
/// JSON.
///
/// # Errors
/// When `out` can't be written to, and when the promise is broken.
pub fn hold(out: &mut impl Write, json: bool, result: &impl Promise) -> anyhow::Result<()> {
    let broken = result.broken().join("; ");
    if !json {
        write(out, false, result)?;
        let verdict = if broken.is_empty() { "kept".to_owned() } else { format!("BROKEN: {broken}") };
        writeln!(out, "guarantee: {}: {}: {verdict}", result.about(), result.figures())?;
    }
    write(out, true, result)?;
    // After the report: it says what went wrong.
    anyhow::ensure!(broken.is_empty(), "{broken}");
    Ok(())
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
