//! A collector of telemetry, over gRPC: what the programs export can be looked at.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::trace::v1 as traces;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::Plan;

/// A span, as far as tests look.
#[derive(Clone, Debug)]
pub struct Span {
    /// `service.name`.
    pub service: String,
    /// `service.instance.id`.
    pub instance: String,
    /// What it is called.
    pub name: String,
    /// The number of its kind in the protocol: 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: i32,
    /// Of which trace.
    pub trace: Vec<u8>,
    /// Its own id.
    pub id: Vec<u8>,
    /// What it is a part of; empty for a root.
    pub parent: Vec<u8>,
    /// What it has to do with: traces and spans.
    pub links: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A record of a log.
#[derive(Clone, Debug)]
pub struct Line {
    /// `service.name`.
    pub service: String,
    /// What it says.
    pub text: String,
    /// Of which trace; empty when of none.
    pub trace: Vec<u8>,
}

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<Span>,
    lines: Vec<Line>,
    metrics: Vec<(String, String)>,
    /// All of it, as it came.
    bytes: Vec<u8>,
}

/// A collector that takes everything.
#[derive(Clone, Debug)]
pub struct Collector {
    endpoint: String,
    seen: Arc<Mutex<Seen>>,
}

impl Collector {
    /// Starts one, for as long as the test's runtime lives.
    ///
    /// # Panics
    /// When it can't listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of this machine");
        let address = listener.local_addr().expect("it listens");
        let collector = Self { endpoint: format!("http://{address}"), seen: Arc::default() };
        let server = tonic::transport::Server::builder()
            .add_service(traces::trace_service_server::TraceServiceServer::new(collector.clone()))
            .add_service(metrics::metrics_service_server::MetricsServiceServer::new(collector.clone()))
            .add_service(logs::logs_service_server::LogsServiceServer::new(collector.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        collector
    }

    /// Has all programs of a plan export to it, soon and everything.
    #[must_use]
    pub fn of(&self, plan: Plan) -> Plan {
        plan.env("OTEL_EXPORTER_OTLP_ENDPOINT", &self.endpoint)
            .env("OTEL_TRACES_SAMPLER", "parentbased_always_on")
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .env("OTEL_BLRP_SCHEDULE_DELAY", "100")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "300")
    }

    /// All spans that have come.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.seen().spans.clone()
    }

    /// All records of logs that have come.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.seen().lines.clone()
    }

    /// The metrics that have come: services and names.
    #[must_use]
    pub fn metrics(&self) -> Vec<(String, String)> {
        self.seen().metrics.clone()
    }

    /// Whether these bytes are anywhere in what has come, and how much that was.
    #[must_use]
    pub fn has(&self, needle: &str) -> (bool, usize) {
        let seen = self.seen();
        (String::from_utf8_lossy(&seen.bytes).contains(needle), seen.bytes.len())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.map(|attribute| text(attribute.value.as_ref())).unwrap_or_default()
}

fn of(resource: Option<&Resource>, key: &str) -> String {
    resource.map(|resource| attribute(&resource.attributes, key)).unwrap_or_default()
}

#[tonic::async_trait]
impl traces::trace_service_server::TraceService for Collector {
    async fn export(
        &self,
        request: Request<traces::ExportTraceServiceRequest>,
    ) -> Result<Response<traces::ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let mut seen = self.seen();
        seen.bytes.extend(request.encode_to_vec());
        for resource in request.resource_spans {
            let who = |key: &str| of(resource.resource.as_ref(), key);
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                seen.spans.push(Span {
                    service: who("service.name"),
                    instance: who("service.instance.id"),
                    name: span.name.clone(),
                    kind: span.kind,
                    trace: span.trace_id.clone(),
                    id: span.span_id.clone(),
                    parent: span.parent_span_id.clone(),
                    links: span
                        .links
                        .iter()
                        .map(|link| (link.trace_id.clone(), link.span_id.clone()))
                        .collect(),
                });
            }
        }
        Ok(Response::new(traces::ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl metrics::metrics_service_server::MetricsService for Collector {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        let request = request.into_inner();
        let mut seen = self.seen();
        seen.bytes.extend(request.encode_to_vec());
        for resource in request.resource_metrics {
            let service = of(resource.resource.as_ref(), "service.name");
            let names = resource.scope_metrics.iter().flat_map(|scope| &scope.metrics);
            seen.metrics.extend(names.map(|metric| (service.clone(), metric.name.clone())));
        }
        Ok(Response::new(metrics::ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl logs::logs_service_server::LogsService for Collector {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        let request = request.into_inner();
        let mut seen = self.seen();
        seen.bytes.extend(request.encode_to_vec());
        for resource in request.resource_logs {
            let service = of(resource.resource.as_ref(), "service.name");
            for record in resource.scope_logs.iter().flat_map(|scope| &scope.log_records) {
                seen.lines.push(Line {
                    service: service.clone(),
                    text: text(record.body.as_ref()),
                    trace: record.trace_id.clone(),
                });
            }
        }
        Ok(Response::new(logs::ExportLogsServiceResponse::default()))
    }
}
