//! What fuzzing begins with, and whatever it found: tried again by the tests of the crates, without any fuzzing.

use std::path::Path;

/// Gives each input of a target to `check`; one that fails is named.
pub(crate) fn seeds(target: &str, check: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 10, "{} holds {} seeds", dir.display(), paths.len());
    for path in paths {
        let input = std::fs::read(&path).unwrap();
        let held = std::panic::catch_unwind(|| check(&input));
        assert!(held.is_ok(), "{} fails, see above", path.display());
    }
}
