//! What calls and their outcomes are called in metrics. Whoever calls decides what stands in a path, so only names that
//! are known become labels.

use http::HeaderMap;
use tonic::{Code, Status};

/// Every method that is served.
const METHODS: &[&str] = &[
    "streamit.v1.Authority/Admit",
    "streamit.v1.Authority/Append",
    "streamit.v1.Authority/Erasures",
    "streamit.v1.Authority/Facts",
    "streamit.v1.Authority/History",
    "streamit.v1.Authority/Keys",
    "streamit.v1.Authority/LoadPlayback",
    "streamit.v1.Authority/Moderate",
    "streamit.v1.Authority/ReportHosts",
    "streamit.v1.Authority/ReportLoss",
    "streamit.v1.Authority/Revocations",
    "streamit.v1.Authority/SavePlayback",
    "streamit.v1.Authority/Versions",
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

/// The method that a request with this path calls; `_OTHER` if there is no such one.
#[must_use]
pub fn method(path: &str) -> &'static str {
    let name = path.strip_prefix('/').unwrap_or_default();
    METHODS.iter().find(|known| **known == name).copied().unwrap_or("_OTHER")
}

/// What came of a call, from the headers of its answer. (One that succeeds says so at its end, and nothing here.)
#[must_use]
pub fn outcome(headers: &HeaderMap) -> &'static str {
    status(Status::from_header_map(headers).map_or(Code::Ok, |status| status.code()))
}

/// The name of a status (<https://grpc.io/docs/guides/status-codes/>).
#[must_use]
pub fn status(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_ours_has_its_name_and_what_somebody_made_up_has_none() {
        let proto = include_str!("../../../../proto/streamit/v1/authority.proto");
        let methods = proto.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next());
        let methods: Vec<String> = methods.map(|name| format!("/streamit.v1.Authority/{name}")).collect();
        assert!(methods.len() >= 13, "{methods:?}");
        for path in methods {
            assert_eq!(method(&path), &path[1..]);
        }
        assert_eq!(method("/streamit.v1.Authority/Ana"), "_OTHER");
        assert_eq!(method("streamit.v1.Authority/Keys"), "_OTHER");
    }

    #[test]
    fn an_answer_without_a_status_in_front_went_well() {
        assert_eq!(outcome(&HeaderMap::new()), "OK");
        let refused = Status::unavailable("later").into_http::<String>();
        assert_eq!(outcome(refused.headers()), "UNAVAILABLE");
    }
}
