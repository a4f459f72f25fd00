//! Secrets that are given in a file, as container platforms mount them: an environment is inherited by every child and
//! shown by many tools, a file is not.

use std::convert::Infallible;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail, ensure};
use secrecy::{ExposeSecret, SecretString};

/// The longest secret, in bytes.
const MOST: u64 = 16 * 1024;

/// The value of an option `..._FILE`: where the secret of the option without `_FILE` lies. It is read when it is asked
/// for, once; clones share it. An empty path is none.
#[derive(Clone, Debug, Default)]
pub struct SecretFile {
    path: Option<PathBuf>,
    read: Arc<OnceLock<SecretString>>,
}

impl FromStr for SecretFile {
    type Err = Infallible;

    fn from_str(path: &str) -> Result<Self, Infallible> {
        Ok(Self { path: (!path.is_empty()).then(|| path.into()), read: Arc::default() })
    }
}

impl SecretFile {
    /// The secret of the option `name`: the one that was `given` itself, or what lies in this file. An empty one that was
    /// given counts as none, as files of settings give what they leave out.
    ///
    /// # Errors
    /// When both are there, or the file does not hold one line. Says the option and the path, nothing of what was read.
    pub fn or<'a>(
        &'a self,
        given: Option<&'a SecretString>,
        name: &str,
    ) -> anyhow::Result<Option<&'a SecretString>> {
        let given = given.filter(|given| !given.expose_secret().is_empty());
        let Some(path) = &self.path else { return Ok(given) };
        ensure!(given.is_none(), "{name} and {name}_FILE are both set: leave one of them out");
        if let Some(secret) = self.read.get() {
            return Ok(Some(secret));
        }
        let secret = read(path).with_context(|| format!("{name}_FILE ({})", path.display()))?;
        Ok(Some(self.read.get_or_init(|| secret)))
    }
}

/// The one line of a file, without its end.
fn read(path: &Path) -> anyhow::Result<SecretString> {
    let file = File::open(path).context("can't be opened")?;
    let about = file.metadata().context("can't be looked at")?;
    ensure!(about.is_file(), "is not a file");
    let mut text = String::new();
    if file.take(MOST + 1).read_to_string(&mut text).is_err() {
        bail!("can't be read as UTF-8 text"); // the cause could hold what was read
    }
    ensure!(text.len() as u64 <= MOST, "holds more than {MOST} bytes");
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    ensure!(!line.is_empty(), "is empty");
    ensure!(!line.contains(['\n', '\r']), "must hold one line");
    if about.permissions().mode() & 0o004 != 0 {
        tracing::warn!(path = %path.display(), "a file with a secret can be read by every user of this machine");
    }
    Ok(SecretString::from(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that holds this.
    fn holding(bytes: &[u8]) -> (tempfile::NamedTempFile, SecretFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, bytes).unwrap();
        let option = file.path().to_str().unwrap().parse().unwrap();
        (file, option)
    }

    fn told(option: &SecretFile, given: Option<&str>) -> Result<Option<String>, String> {
        let given = given.map(SecretString::from);
        let secret = option.or(given.as_ref(), "STREAMIT_TOKEN");
        secret
            .map(|secret| secret.map(|secret| secret.expose_secret().to_owned()))
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_secret_is_one_line_without_its_end() {
        for (bytes, secret) in [
            (&b"a b "[..], "a b "),
            (b"s3cret\n", "s3cret"),
            (b"s3cret\r\n", "s3cret"),
            ("ü".as_bytes(), "ü"),
        ] {
            assert_eq!(told(&holding(bytes).1, None), Ok(Some(secret.to_owned())));
        }
        for (bytes, why) in [
            (&b""[..], "is empty"),
            (b"\n", "is empty"),
            (b"canary\nsecond", "one line"),
            (b"canary\n\n", "one line"),
            (b"canary\xff", "UTF-8"),
            (&[b'x'; 16 * 1024 + 1], "more than"),
        ] {
            let (file, option) = holding(bytes);
            let error = told(&option, None).unwrap_err();
            assert!(error.contains(why) && error.contains("STREAMIT_TOKEN_FILE"), "{error}");
            assert!(error.contains(file.path().to_str().unwrap()) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_with_its_option() {
        for (path, why) in [("/nowhere/secret", "No such file"), ("/", "not a file")] {
            let error = told(&path.parse().unwrap(), None).unwrap_err();
            assert!(error.contains(why) && error.contains("STREAMIT_TOKEN_FILE"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_given_in_one_way() {
        let (_file, option) = holding(b"filed\n");
        let error = told(&option, Some("given")).unwrap_err();
        assert!(error.contains("STREAMIT_TOKEN and STREAMIT_TOKEN_FILE"), "{error}");
        assert!(!error.contains("given") && !error.contains("filed"), "{error}");
        assert_eq!(told(&option, Some("")), Ok(Some("filed".into())), "an empty one is none");
        let none: SecretFile = "".parse().unwrap();
        assert_eq!(told(&none, Some("given")), Ok(Some("given".into())));
        assert_eq!((told(&none, Some("")), told(&none, None)), (Ok(None), Ok(None)));
    }

    #[test]
    fn it_is_read_once_and_kept_out_of_debug_output() {
        let (file, option) = holding(b"canary\n");
        let clone = option.clone();
        assert_eq!(told(&option, None), Ok(Some("canary".into())));
        drop(file);
        assert_eq!(told(&clone, None), Ok(Some("canary".into())));
        assert!(!format!("{option:?}").contains("canary"));
    }
}
