//! Certificates and keys in PEM files, for connections between the services. What is wrong with a file is told before
//! anything binds.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, ensure};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::{ExposeSecret, SecretSlice};

/// The certificates in the file that the option `name` names: a chain, or authorities to be trusted.
///
/// # Errors
/// When the file can't be read, or something in it is no certificate. Says the option and the path.
pub fn certificates(path: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let about = || format!("{name} ({})", path.display());
    let pem = std::fs::read(path).context("can't be read").with_context(about)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.context("is not PEM").with_context(about)?;
        roots.add(certificate).context("holds something that is no certificate").with_context(about)?;
    }
    ensure!(!roots.is_empty(), "{} holds no certificate (PEM)", about());
    Ok(pem)
}

/// The private key in the file that the option `name` names. A file that every user can read is warned of.
///
/// # Errors
/// When the file can't be read, or holds no key. Says the option and the path, nothing of what was read.
pub fn private_key(path: &Path, name: &str) -> anyhow::Result<SecretSlice<u8>> {
    let about = || format!("{name} ({})", path.display());
    let pem: SecretSlice<u8> = std::fs::read(path).context("can't be read").with_context(about)?.into();
    let is_key = PrivateKeyDer::from_pem_slice(pem.expose_secret()).is_ok();
    ensure!(is_key, "{} holds no private key (PEM)", about());
    if std::fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o004 != 0) {
        tracing::warn!(path = %path.display(), "a file with a secret can be read by every user of this machine");
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn files_hold_what_their_option_is_for() {
        let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (cert, key) = (holding(&identity.cert.pem()), holding(&identity.signing_key.serialize_pem()));
        let empty = holding("");
        let garbage = holding("-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n");
        assert!(certificates(cert.path(), "CERT").unwrap().starts_with(b"-----BEGIN CERTIFICATE"));
        private_key(key.path(), "KEY").unwrap();

        let nowhere = Path::new("/nowhere/cert.pem");
        for path in [key.path(), empty.path(), garbage.path(), nowhere] {
            let error = format!("{:#}", certificates(path, "CERT").unwrap_err());
            assert!(error.contains("CERT") && error.contains(path.to_str().unwrap()), "{error}");
        }
        for path in [cert.path(), empty.path(), garbage.path(), nowhere] {
            let error = format!("{:#}", private_key(path, "KEY").unwrap_err());
            assert!(error.contains("KEY") && error.contains(path.to_str().unwrap()), "{error}");
        }
    }
}
