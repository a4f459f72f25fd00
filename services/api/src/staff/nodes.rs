//! What staff asks of nodes.

use std::time::Duration;

use serde_json::json;
use streamit_domain::audit::Action;

use super::By;
use crate::app::App;
use crate::http::error::Result;
use crate::{audit, live};

/// What a node is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Put so many of a hundred connections out within this time.
    Shed(u32, Duration),
    /// Put everybody out, and take nobody.
    Drain,
    /// Take people again.
    Resume,
}

/// Asks a node. What is asked is written down before it is told, and once more if it could not be told.
pub(crate) async fn tell(app: &App, by: &By, node: &str, order: Order) -> Result<()> {
    let (action, what) = match order {
        Order::Shed(percent, window) => {
            let what = json!({"node": node, "percent": percent, "seconds": window.as_secs()});
            (Action::NodeShed, what)
        }
        Order::Drain => (Action::NodeDrained, json!({"node": node})),
        Order::Resume => (Action::NodeResumed, json!({"node": node})),
    };
    let note = by.origin.did(action).because(Some(&by.reason));
    audit::write_alone(app, note.clone().into(what)).await?;
    let told = match order {
        Order::Shed(percent, window) => live::shed(app, node, percent, window).await,
        Order::Drain => live::drain(app, node).await,
        Order::Resume => live::resume(app, node).await,
    };
    if let Err(error) = &told {
        audit::write_alone(app, note.into(json!({"node": node, "failed": error.code().as_str()}))).await?;
    }
    told
}
