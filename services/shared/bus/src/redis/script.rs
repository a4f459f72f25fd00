//! The scripts: sent by the hash of their content, and in full only to a server that does not know them yet.

use std::sync::LazyLock;

use redis::{Pipeline, Script};

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $($file:literal),+) => {
        $(#[$doc])*
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(concat!(include_str!("common.lua"), $(include_str!($file)),+)));
    };
}

script!(ENTER, "members.lua", "enter.lua");
script!(LEAVE, "members.lua", "leave.lua");
script!(PRUNE, "members.lua", "prune.lua");
script!(MARK_GONE, "mark_gone.lua");
script!(REFRESH, "refresh.lua");
script!(REPORT_READY, "report_ready.lua");
script!(SET_PLAYBACK, "set_playback.lua");
script!(RAISE_FENCE, "raise_fence.lua");
script!(QUOTA, "quota.lua");

/// Adds a call of `script` to what is sent; arguments may follow.
pub(super) fn call<'a>(pipeline: &'a mut Pipeline, script: &Script, keys: &[String]) -> &'a mut Pipeline {
    pipeline.cmd("EVALSHA").arg(script.get_hash()).arg(keys.len()).arg(keys)
}
