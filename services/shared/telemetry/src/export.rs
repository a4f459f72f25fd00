//! Exporters over gRPC and HTTP. Endpoints, headers, deadlines, compression and temporality are read from the environment
//! by the library itself; certificates are not, so they are read here.

use std::fs;

use anyhow::Context;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, Protocol as Wire, SpanExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};

use crate::http::Client;
use crate::settings::{Protocol, Settings};

const UNFIT: &str = "what the OTEL_EXPORTER_OTLP_* variables say can't be used";

/// What is read from files, once for all exporters.
pub(crate) struct Exporters {
    tls: ClientTlsConfig,
    http: Option<Client>,
}

/// Makes one kind of exporter from its builder, in the way that is asked for.
macro_rules! build {
    ($exporters:expr, $builder:expr, $protocol:expr) => {
        match $protocol {
            Protocol::Grpc => $builder.with_tonic().with_protocol(Wire::Grpc).build().context(UNFIT),
            Protocol::Grpcs => $builder
                .with_tonic()
                .with_protocol(Wire::Grpc)
                .with_tls_config($exporters.tls.clone())
                .build()
                .context(UNFIT),
            Protocol::Http => {
                let builder = $builder.with_http().with_protocol(Wire::HttpBinary);
                match $exporters.http.clone() {
                    Some(client) => builder.with_http_client(client).build(),
                    None => builder.build(),
                }
                .context(UNFIT)
            }
        }
    };
}

impl Exporters {
    /// Reads certificates.
    ///
    /// # Errors
    /// Names the variable whose file can't be used.
    pub(crate) fn new(settings: &Settings) -> anyhow::Result<Self> {
        let read = |path: &String, name: &str| {
            fs::read(path).with_context(|| format!("{name}: {path} can't be read"))
        };
        let authorities = settings
            .certificate
            .as_ref()
            .map(|path| read(path, "OTEL_EXPORTER_OTLP_CERTIFICATE"))
            .transpose()?;
        let client = match &settings.client {
            Some((certificate, key)) => Some((
                read(certificate, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")?,
                read(key, "OTEL_EXPORTER_OTLP_CLIENT_KEY")?,
            )),
            None => None,
        };
        let mut tls = ClientTlsConfig::new();
        tls = match &authorities {
            Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
            None => tls.with_enabled_roots(),
        };
        if let Some((certificate, key)) = &client {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let uses_http = crate::settings::Signal::ALL
            .iter()
            .any(|signal| settings.export(*signal) == Some(Protocol::Http));
        let http = if uses_http { Some(Client::new(authorities, client, settings.timeout)?) } else { None };
        Ok(Self { tls, http })
    }

    pub(crate) fn spans(&self, protocol: Protocol) -> anyhow::Result<SpanExporter> {
        build!(self, SpanExporter::builder(), protocol)
    }

    pub(crate) fn metrics(&self, protocol: Protocol) -> anyhow::Result<MetricExporter> {
        build!(self, MetricExporter::builder(), protocol)
    }

    pub(crate) fn logs(&self, protocol: Protocol) -> anyhow::Result<LogExporter> {
        build!(self, LogExporter::builder(), protocol)
    }
}
