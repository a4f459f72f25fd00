//! The scripts: sent by the hash of their content, and in full only to a server that does not know them yet.

use std::ops::Deref;
use std::sync::LazyLock;

use redis::{Pipeline, Script};

/// A script, and what it is called in metrics.
pub(super) struct Named {
    pub(super) name: &'static str,
    script: Script,
}

impl Deref for Named {
    type Target = Script;

    fn deref(&self) -> &Script {
        &self.script
    }
}

macro_rules! script {
    ($name:ident, $called:literal, $($file:literal),+) => {
        pub(super) static $name: LazyLock<Named> = LazyLock::new(|| Named {
            name: $called,
            script: Script::new(concat!(include_str!("common.lua"), $(include_str!($file)),+)),
        });
    };
}

script!(ENTER, "enter", "members.lua", "enter.lua");
script!(LEAVE, "leave", "members.lua", "leave.lua");
script!(PRUNE, "prune", "members.lua", "prune.lua");
script!(MARK_GONE, "mark_gone", "mark_gone.lua");
script!(REFRESH, "refresh", "refresh.lua");
script!(REPORT_READY, "report_ready", "report_ready.lua");
script!(SET_PLAYBACK, "set_playback", "set_playback.lua");
script!(RAISE_FENCE, "raise_fence", "raise_fence.lua");
script!(QUOTA, "quota", "quota.lua");

/// Adds a call of `script` to what is sent; arguments may follow.
pub(super) fn call<'a>(pipeline: &'a mut Pipeline, script: &Script, keys: &[String]) -> &'a mut Pipeline {
    pipeline.cmd("EVALSHA").arg(script.get_hash()).arg(keys.len()).arg(keys)
}
