//! Every kind of body, read as its calls read it, and nothing done about it. For those who make bodies up
//! (`services/fuzz`): a call itself would ask the database first who is there.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::http::json::{Input, Json};
use crate::{auth, rooms};

/// Reads a request's body; what is answered when it is refused.
pub type Read = fn(Request) -> BoxFuture<'static, Option<Response>>;

/// All kinds, by the names of what they are read as.
pub const KINDS: &[(&str, Read)] = &[
    ("Register", read::<auth::Register>),
    ("Login", read::<auth::Login>),
    ("Guest", read::<auth::Guest>),
    ("RefreshToken", read::<auth::RefreshToken>),
    ("OfRoom", read::<rooms::OfRoom>),
    ("Create", read::<rooms::open::Create>),
    ("Join", read::<rooms::open::Join>),
    ("Change", read::<rooms::manage::Change>),
    ("Watch", read::<rooms::manage::Watch>),
    ("OfPerson", read::<rooms::moderate::OfPerson>),
    ("Mute", read::<rooms::moderate::Mute>),
    ("Cohost", read::<rooms::moderate::Cohost>),
    ("Erase", read::<rooms::erase::Erase>),
    ("Report", read::<rooms::report::Report>),
];

fn read<T: Input>(request: Request) -> BoxFuture<'static, Option<Response>> {
    async { Json::<T>::from_request(request, &()).await.err().map(IntoResponse::into_response) }.boxed()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Which types a source file, or those below a directory, make an `Input` of.
    fn inputs(path: &Path, found: &mut BTreeSet<String>) {
        if path.is_dir() {
            return std::fs::read_dir(path).unwrap().for_each(|entry| inputs(&entry.unwrap().path(), found));
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            return;
        }
        let source = std::fs::read_to_string(path).unwrap();
        // At the start of a line: those of tests are further in.
        let names =
            source.lines().filter_map(|line| line.strip_prefix("impl Input for ")?.split([' ', '<']).next());
        found.extend(names.map(str::to_owned));
    }

    #[test]
    fn no_kind_of_body_is_left_out() {
        let mut found = BTreeSet::new();
        inputs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        let listed: BTreeSet<String> = KINDS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, found, "list it in `KINDS`, and it is fuzzed too");
        assert_eq!(listed.len(), KINDS.len());
    }
}
