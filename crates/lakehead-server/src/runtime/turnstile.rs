//! Lets a fixed number of threads work at once, so that many flows neither fight for the cores nor all hold a batch.

use parking_lot::{Condvar, Mutex};

#[derive(Debug)]
pub(crate) struct Turnstile {
    free: Mutex<usize>,
    given_back: Condvar,
}

/// One turn. Dropping it lets the next in.
#[derive(Debug)]
pub(crate) struct Turn<'a>(&'a Turnstile);

impl Turnstile {
    pub(crate) fn new(turns: usize) -> Self {
        Turnstile { free: Mutex::new(turns.max(1)), given_back: Condvar::new() }
    }

    /// Waits for a turn.
    pub(crate) fn enter(&self) -> Turn<'_> {
        let mut free = self.free.lock();
        while *free == 0 {
            self.given_back.wait(&mut free);
        }
        *free -= 1;
        Turn(self)
    }

    /// A turn if one is free now.
    pub(crate) fn try_enter(&self) -> Option<Turn<'_>> {
        let mut free = self.free.lock();
        *free = free.checked_sub(1)?;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests;
