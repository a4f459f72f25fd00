//! Exporting over HTTP, on the program's runtime: exporters call from threads of their own, which have none.

use std::time::Duration;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{HttpClient, HttpError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::runtime::Handle;

/// A client for all exporters.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    inner: HyperClient<HttpsConnector<HttpConnector>>,
    runtime: Handle,
}

impl Client {
    /// Trusts these authorities, else those of the system, and shows this certificate with its key. Needs a runtime.
    ///
    /// # Errors
    /// Names the variable whose file can't be used.
    pub(crate) fn new(
        authorities: Option<Vec<u8>>,
        identity: Option<(Vec<u8>, Vec<u8>)>,
        timeout: Duration,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        match &authorities {
            Some(pem) => {
                for certificate in certificates(pem, "OTEL_EXPORTER_OTLP_CERTIFICATE")? {
                    roots.add(certificate).context("OTEL_EXPORTER_OTLP_CERTIFICATE")?;
                }
            }
            // One that can't be read is not trusted.
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let tls = match identity {
            Some((chain, key)) => {
                let chain = certificates(&chain, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")?;
                let key = PrivateKeyDer::from_pem_slice(&key)
                    .map_err(|_| anyhow!("OTEL_EXPORTER_OTLP_CLIENT_KEY holds no private key (PEM)"))?;
                tls.with_client_auth_cert(chain, key).context("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")?
            }
            None => tls.with_no_client_auth(),
        };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self { inner: HyperClient::new(connector, timeout, None), runtime: Handle::current() })
    }
}

fn certificates(pem: &[u8], name: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|_| anyhow!("{name} holds something that is no certificate (PEM)"))?;
    anyhow::ensure!(!all.is_empty(), "{name} holds no certificate (PEM)");
    Ok(all)
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let inner = self.inner.clone();
        self.runtime.spawn(async move { inner.send_bytes(request).await }).await?
    }
}
