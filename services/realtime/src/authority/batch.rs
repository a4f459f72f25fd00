//! What waits together travels together.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use crate::room::effect::Away;

/// How many questions may wait; more are refused at once, since they would not be answered in time.
const WAITING: usize = 4_096;
/// How long a question may take, waiting included.
const DEADLINE: Duration = Duration::from_secs(5);

/// Gathers questions while a call is under way and asks them with the next one.
#[derive(Debug)]
pub struct Batcher<Q, A>(mpsc::Sender<(Q, oneshot::Sender<A>)>);

impl<Q: Send + 'static, A: Send + 'static> Batcher<Q, A> {
    /// A batcher that asks at most `most` questions at once by `call`, which answers each in order. It ends with the
    /// last handle.
    pub fn spawn<F>(most: usize, call: impl Fn(Vec<Q>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Vec<A>, Away>> + Send,
    {
        let (sender, mut waiting) = mpsc::channel::<(Q, oneshot::Sender<A>)>(WAITING);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, most).await > 0 {
                // Whoever has given up waiting is not asked for.
                let (questions, askers): (Vec<Q>, Vec<_>) =
                    batch.drain(..).filter(|(_, asker)| !asker.is_closed()).unzip();
                if questions.is_empty() {
                    continue;
                }
                // A panic is a fault of ours, but of this call alone: those who come later are asked for all the same.
                let answers = AssertUnwindSafe(async { call(questions).await }).catch_unwind().await;
                if let Ok(Ok(answers)) = answers {
                    for (asker, answer) in askers.into_iter().zip(answers) {
                        let _ = asker.send(answer); // gone meanwhile
                    }
                }
                // On failure the askers are dropped, which tells them.
            }
        });
        Self(sender)
    }

    /// Asks.
    ///
    /// # Errors
    /// When too many wait already, the call failed, or it took too long.
    pub async fn ask(&self, question: Q) -> Result<A, Away> {
        let (asker, answer) = oneshot::channel();
        self.0.try_send((question, asker)).map_err(|_| Away)?;
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(Away),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use parking_lot::Mutex;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_comes_while_a_call_is_under_way_is_the_next_call() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let go = Arc::new(Notify::new());
        let batcher = {
            let (sizes, go) = (sizes.clone(), go.clone());
            Arc::new(Batcher::spawn(100, move |questions: Vec<u32>| {
                let (sizes, go) = (sizes.clone(), go.clone());
                async move {
                    sizes.lock().push(questions.len());
                    go.notified().await;
                    Ok(questions.into_iter().map(|q| q * 2).collect())
                }
            }))
        };
        let first = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.ask(1).await }
        });
        while sizes.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        let others = join_all((2..52).map(|q| batcher.ask(q)));
        let release = async {
            go.notify_one();
            while sizes.lock().len() < 2 {
                tokio::task::yield_now().await;
            }
            go.notify_one();
        };
        let (answers, ()) = tokio::join!(others, release);
        assert_eq!(first.await.unwrap(), Ok(2));
        assert_eq!(answers, (2..52).map(|q| Ok(q * 2)).collect::<Vec<_>>());
        assert_eq!(*sizes.lock(), [1, 50]);
    }

    #[tokio::test]
    async fn a_call_that_fails_is_told_to_everybody_in_it() {
        let batcher: Batcher<u32, u32> = Batcher::spawn(10, |_| async { Err(Away) });
        assert_eq!(batcher.ask(1).await, Err(Away));
    }

    #[tokio::test]
    async fn a_call_that_panics_fails_alone() {
        let batcher: Batcher<u32, u32> = Batcher::spawn(10, |questions| async move {
            assert_ne!(questions, [1], "a fault inside");
            Ok(questions)
        });
        assert_eq!(batcher.ask(1).await, Err(Away));
        assert_eq!(batcher.ask(2).await, Ok(2));
    }
}
