//! The papers for people who write clients hold every code, as it is.

use std::path::Path;

use streamit_wire::Code;

fn paper(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows of a table that a paper lacks, ready to be put there.
fn lacks(paper: &str, rows: impl IntoIterator<Item = String>) -> String {
    let missing: Vec<String> =
        rows.into_iter().filter(|row| !paper.lines().any(|line| line == row)).collect();
    missing.join("\n")
}

#[test]
fn the_table_of_error_codes_is_the_one_in_the_code() {
    let rows = Code::ALL.iter().map(|code| {
        let close = match code.close() {
            0 => "–".to_owned(),
            close => close.to_string(),
        };
        format!("| `{code}` | {} | {close} | {} |", code.status().as_u16(), code.sentence())
    });
    let missing = lacks(&paper("api.md"), rows);
    assert!(missing.is_empty(), "docs/api.md lacks:\n{missing}");
}

#[test]
fn every_close_code_is_explained() {
    let protocol = paper("protocol.md");
    let constants = include_str!("../src/code.rs").lines().filter_map(|line| {
        let (_, number) = line.trim().strip_prefix("pub const ")?.split_once(": u16 = ")?;
        number.strip_suffix(';')?.parse::<u16>().ok()
    });
    let refusals = Code::ALL.iter().map(|code| code.close()).filter(|close| *close != 0);
    for close in constants.chain(refusals) {
        let row = format!("| {close} |");
        assert!(
            protocol.lines().any(|line| line.starts_with(&row)),
            "docs/protocol.md does not explain {close}"
        );
    }
}
