//! People who do something all the time.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::Rule;
use crate::fault::viewer::Command;
use crate::fault::{Draw, Viewer};

/// Something that goes on until it is stopped, or dropped.
#[derive(Debug)]
pub struct Talk {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<usize>,
}

impl Talk {
    /// Ends it; how many orders were given.
    ///
    /// # Panics
    /// When it had failed.
    pub async fn stop(mut self) -> usize {
        self.stop.take();
        self.task.await.expect("talking does not fail")
    }
}

pub(super) fn talk(viewers: Vec<Viewer>, per_second: f64) -> Talk {
    goes_on(per_second, move |n| {
        let viewer = viewers[n % viewers.len()].clone();
        async move {
            // Who has left, or waits for a line, is not heard; somebody else's turn must not wait for that.
            let may_speak = {
                let record = viewer.record();
                record.wants_in && (record.is_in || record.unanswered < 32)
            };
            if may_speak {
                let text = format!("{}-{n}", viewer.name());
                viewer.say(&text).await;
            }
        }
    })
}

pub(super) fn direct(viewers: Vec<Viewer>, rule: Rule, per_second: f64, mut draw: Draw) -> Talk {
    goes_on(per_second, move |_| {
        let (host, position) = rule.next();
        let viewer = viewers[host].clone();
        let command = *draw.one(&[Command::Play, Command::Pause, Command::Seek, Command::Seek]);
        async move {
            if viewer.record().is_in {
                viewer.directs(command, position).await;
            }
        }
    })
}

fn goes_on<F: Future<Output = ()> + Send>(
    per_second: f64,
    mut act: impl FnMut(usize) -> F + Send + 'static,
) -> Talk {
    let (stop, mut stopped) = oneshot::channel();
    let task = tokio::spawn(async move {
        let mut every = interval(Duration::from_secs_f64(1.0 / per_second));
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for n in 0.. {
            tokio::select! {
                _ = every.tick() => act(n).await,
                _ = &mut stopped => return n,
            }
        }
        unreachable!("it counts for ever")
    });
    Talk { stop: Some(stop), task }
}
