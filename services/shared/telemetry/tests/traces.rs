//! Programs of their own, started with and without a collector in their environment.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should say where")]

use std::process::Output;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// Set for the program that this test starts, which is this test itself.
const PART: &str = "STREAMIT_TEST_PART";

struct Collector(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).await.map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Logs a line, makes a span, ends.
#[tokio::test(flavor = "multi_thread")]
async fn the_traced_program() {
    if std::env::var_os(PART).is_none() {
        return;
    }
    let program = streamit_telemetry::Program::new("streamit-test", "1").serving(false);
    let guard = streamit_telemetry::init(program).unwrap();
    tracing::info_span!("a film night").in_scope(|| tracing::info!(seats = 2, "it begins"));
    tracing::info_span!(target: "h2::codec", "noise of the exporter").in_scope(|| ());
    guard.shutdown();
}

async fn program(environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_traced_program", "--nocapture"]).env(PART, "1").env_remove("RUST_LOG");
    for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED"] {
        command.env_remove(name);
    }
    let output = command.envs(environment.iter().copied()).output();
    tokio::time::timeout(Duration::from_secs(30), output).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_the_collector_before_the_program_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut exports) = mpsc::channel(16);
    let service = TraceServiceServer::new(Collector(sender));
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));

    // What a program flushes at its end has half a second, and a busy machine may need more.
    let mut exported = None;
    for _ in 0..10 {
        let output = program(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
        assert!(output.status.success(), "{output:?}");
        exported = exports.try_recv().ok();
        if exported.is_some() {
            break;
        }
    }
    let resource = exported.unwrap().resource_spans.remove(0);
    let name = |key: &str| {
        let attributes = &resource.resource.as_ref().unwrap().attributes;
        format!("{:?}", attributes.iter().find(|attribute| attribute.key == key).unwrap().value)
    };
    assert!(name("service.name").contains("streamit-test"), "{}", name("service.name"));
    let spans: Vec<_> =
        resource.scope_spans.iter().flat_map(|scope| &scope.spans).map(|span| span.name.as_str()).collect();
    assert_eq!(spans, ["a film night"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_there_is_only_the_log() {
    let output =
        program(&[("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    for output in [program(&[]).await, output.await] {
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{log}");
        assert!(log.contains(r#""message":"it begins","seats":2"#), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_delays_the_end_by_little() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap(); // accepts, and never answers
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let start = std::time::Instant::now();
    let output = program(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Answers every request over HTTP with 200 and nothing, and tells the paths that were asked for.
async fn http_collector() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (paths, asked) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, paths.clone()));
        }
    });
    (endpoint, asked)
}

async fn serve(mut stream: TcpStream, paths: mpsc::Sender<String>) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let end = head + length.unwrap_or(0);
        while bytes.len() < end {
            stream.read_buf(&mut bytes).await?;
        }
        bytes.drain(..end);
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let _ = paths.send(path).await; // the test may be over
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_each_signal_has_its_own_path() {
    let (endpoint, mut asked) = http_collector().await;
    let mut paths = std::collections::BTreeSet::new();
    // What a program flushes at its end has half a second, and a busy machine may need more.
    for _ in 0..10 {
        let over_http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        let output = program(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), over_http]).await;
        assert!(output.status.success(), "{output:?}");
        while let Ok(path) = asked.try_recv() {
            paths.insert(path);
        }
        if paths.len() == 3 {
            break;
        }
    }
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["/v1/logs", "/v1/metrics", "/v1/traces"]);
}
