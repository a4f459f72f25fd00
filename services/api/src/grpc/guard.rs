//! Who may ask over gRPC: whoever shows the token, when there is one.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::identity::secrets;

/// Lets callers in who show the token. Without one everybody who gets here is: only loopback and the same process
/// do then.
#[derive(Clone, Debug)]
pub(super) struct Guard(Option<SecretString>);

impl Guard {
    pub(super) fn new(token: Option<&SecretString>) -> Self {
        Self(token.cloned())
    }

    /// Whether these headers are those of a caller who may ask.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(wanted) = &self.0 else { return true };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        // Digests are of one length, so the comparison does not even tell how long the token is.
        secrets::same(&secrets::digest(shown), &secrets::digest(wanted.expose_secret()))
    }
}

impl Interceptor for Guard {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if self.admits(request.metadata().as_ref()) {
            return Ok(request);
        }
        Err(Status::unauthenticated("show the gRPC token"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn let_in(guard: &Guard, authorization: Option<&'static str>) -> bool {
        let mut request = Request::new(());
        if let Some(text) = authorization {
            request.metadata_mut().insert("authorization", text.parse().unwrap());
        }
        guard.clone().call(request).is_ok()
    }

    #[test]
    fn only_the_token_opens() {
        let guard = Guard::new(Some(&"secret".into()));
        assert!(let_in(&guard, Some("Bearer secret")));
        for wrong in
            [None, Some(""), Some("secret"), Some("Bearer "), Some("Bearer secre"), Some("Bearer secrets")]
        {
            assert!(!let_in(&guard, wrong), "{wrong:?}");
        }
        assert!(let_in(&Guard::new(None), None));
    }
}
