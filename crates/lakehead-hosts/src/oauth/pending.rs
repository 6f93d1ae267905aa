//! Pages that wait for a click. **Bound:** [`PAGES_MAX`]; with more, the oldest are forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use super::Asked;

/// Pages that may wait at once.
pub const PAGES_MAX: usize = 256;
/// How long a page waits.
pub const PAGE_SECONDS_MAX: u64 = 300;

#[derive(Debug, Default)]
pub(super) struct Pending {
    /// In the order in which they were shown.
    pages: VecDeque<Page>,
}

#[derive(Debug)]
struct Page {
    number: String,
    asked: Asked,
    until: Duration,
}

impl Pending {
    /// `now` is [`lakehead_model::Clock::monotonic`].
    pub(super) fn add(&mut self, number: String, asked: Asked, now: Duration) {
        self.forget_old(now);
        if self.pages.len() >= PAGES_MAX {
            self.pages.pop_front();
        }
        self.pages.push_back(Page { number, asked, until: now + Duration::from_secs(PAGE_SECONDS_MAX) });
    }

    /// What the page with this number asked for; once.
    pub(super) fn take(&mut self, number: &str, now: Duration) -> Option<Asked> {
        self.forget_old(now);
        let at = self.pages.iter().position(|page| page.number == number)?;
        self.pages.remove(at).map(|page| page.asked)
    }

    fn forget_old(&mut self, now: Duration) {
        while self.pages.front().is_some_and(|page| page.until <= now) {
            self.pages.pop_front();
        }
    }
}
