//! What everything above the bus relies on, asked of both implementations, and what only Redis has to endure.
//!
//! The tests share one Redis and keep apart by drawing their own rooms; those that break a Redis start their own.

// The attribute is what tells clippy that these are tests.
#[cfg(test)]
mod suite {
    #[macro_use]
    pub(crate) mod support;

    mod books;
    mod leases;
    mod news;
    mod outages;
    mod playback;
    mod proxy;
    mod quotas;
    mod rosters;
    mod round_trips;
    mod subscriptions;
    mod switch_over;
    mod tls;
}
