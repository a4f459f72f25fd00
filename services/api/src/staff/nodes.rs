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

/// Asks a node. It is written down if it was told, and told only if it can be written down.
pub(crate) async fn tell(app: &App, by: &By, node: &str, order: Order) -> Result<()> {
    let (action, what) = match order {
        Order::Shed(percent, window) => {
            let what = json!({"node": node, "percent": percent, "seconds": window.as_secs()});
            (Action::NodeShed, what)
        }
        Order::Drain => (Action::NodeDrained, json!({"node": node})),
        Order::Resume => (Action::NodeResumed, json!({"node": node})),
    };
    let mut tx = app.store.begin().await?;
    audit::write(app, &mut tx, by.origin.did(action).into(what).because(Some(&by.reason))).await?;
    match order {
        Order::Shed(percent, window) => live::shed(app, node, percent, window).await?,
        Order::Drain => live::drain(app, node).await?,
        Order::Resume => live::resume(app, node).await?,
    }
    tx.commit().await?;
    Ok(())
}
