//! What one run of a program may take, and the moment that `now()` means in it.
//!
//! A run evaluates on one thread from start to end, so its account is kept by thread: [`begin`] opens it, dropping the [`Run`]
//! closes it. Planning opens one too, because constant calls are evaluated there.

use std::cell::RefCell;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use datafusion_common::{DataFusionError, Result};
use lakehead_model::limits::SQL_BYTES_MAX;
use lakehead_model::{Clock, SystemClock, Timestamp};

/// Output of one call over a batch.
pub(super) const CALL_BYTES_MAX: u64 = 64 << 20;
/// Output of all calls of one run.
const RUN_BYTES_MAX: u64 = 256 << 20;
/// Of one run. Looked at before each call; what one call can take is bounded by its size and by [`CALL_STEPS_MAX`].
const RUN_TIME_MAX: Duration = Duration::from_secs(10);
/// Steps of one call that takes more of them than it has bytes to read or to write.
pub(super) const CALL_STEPS_MAX: u64 = 1 << 30;
/// A constant that planning makes is no longer than a text that could have been written.
const CONSTANT_BYTES_MAX: u64 = SQL_BYTES_MAX as u64;
const CONSTANTS_BYTES_MAX: u64 = 16 << 20;

static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::default);

thread_local! {
    static ACCOUNT: RefCell<Option<Account>> = const { RefCell::new(None) };
}

struct Account {
    now: Timestamp,
    call_bytes_max: u64,
    bytes_left: u64,
    deadline: Duration,
    exceeded: Option<LimitExceeded>,
}

/// A run asks for more than it may take.
#[derive(Debug, Clone)]
pub(crate) struct LimitExceeded(String);

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LimitExceeded {}

/// The limit that an error says was passed, if it is of that kind.
pub(crate) fn limit_of(error: &DataFusionError) -> Option<&LimitExceeded> {
    match error.find_root() {
        DataFusionError::External(inner) => inner.downcast_ref(),
        _ => None,
    }
}

/// Open while a program runs, or while one is planned, on this thread.
#[derive(Debug)]
pub(crate) struct Run(());

impl Drop for Run {
    fn drop(&mut self) {
        ACCOUNT.with_borrow_mut(|account| *account = None);
    }
}

impl Run {
    /// The first limit that was passed. Planning keeps a constant call that fails as it is, in case no row ever reaches it; one
    /// that passes a limit is refused all the same.
    pub(crate) fn exceeded(&self) -> Option<LimitExceeded> {
        ACCOUNT.with_borrow(|account| account.as_ref().and_then(|a| a.exceeded.clone()))
    }
}

/// Opens the account of a run over a batch.
pub(crate) fn begin(now: Timestamp) -> Run {
    open(now, CALL_BYTES_MAX, RUN_BYTES_MAX)
}

/// Opens the account of planning one statement.
pub(crate) fn begin_planning() -> Run {
    open(Timestamp(0), CONSTANT_BYTES_MAX, CONSTANTS_BYTES_MAX)
}

fn open(now: Timestamp, call_bytes_max: u64, bytes_left: u64) -> Run {
    let deadline = CLOCK.monotonic() + RUN_TIME_MAX;
    ACCOUNT.with_borrow_mut(|account| {
        *account = Some(Account { now, call_bytes_max, bytes_left, deadline, exceeded: None });
    });
    Run(())
}

/// What `now()` means in this run.
pub(super) fn now() -> Timestamp {
    ACCOUNT.with_borrow(|account| account.as_ref().map_or(Timestamp(0), |a| a.now))
}

/// Leaves the run of this thread no time.
#[cfg(test)]
pub(super) fn expire() {
    ACCOUNT.with_borrow_mut(|account| account.iter_mut().for_each(|a| a.deadline = Duration::ZERO));
}

/// Fails if the run has no time left.
pub(super) fn check_time() -> Result<()> {
    account(|account| {
        if CLOCK.monotonic() < account.deadline {
            return Ok(());
        }
        let seconds = RUN_TIME_MAX.as_secs();
        Err(format!("the SQL takes longer than {seconds} seconds for a batch of records"))
    })
}

/// Fails if a call would make more than a call may. `bytes` is the size as far as it is known before the call.
pub(super) fn check_size(name: &str, bytes: u64) -> Result<()> {
    account(|account| account.allow(name, bytes))
}

/// Fails if a constant of that size would take more than a call may in a batch of so many rows.
pub(crate) fn check_constants(largest: u64, rows: usize) -> Result<()> {
    check_size("a constant", largest.saturating_mul(rows as u64))
}

/// Whether a call may make that much.
pub(super) fn would_fit(name: &str, bytes: u64) -> bool {
    ACCOUNT.with_borrow(|account| account.as_ref().is_none_or(|a| a.allow(name, bytes).is_ok()))
}

/// Fails if a call would take too many steps.
pub(super) fn check_steps(name: &str, steps: u64) -> Result<()> {
    account(|_| {
        if steps <= CALL_STEPS_MAX {
            return Ok(());
        }
        Err(format!(
            "`{name}` would take {steps} steps for a batch of records; the limit is {CALL_STEPS_MAX}"
        ))
    })
}

/// Takes what a call made from what the run may still make.
pub(super) fn charge(name: &str, bytes: u64) -> Result<()> {
    account(|account| {
        account.allow(name, bytes)?;
        let total = RUN_BYTES_MAX >> 20;
        account.bytes_left = account.bytes_left.checked_sub(bytes).ok_or_else(|| {
            format!("the functions of the SQL make more than {total} MiB for a batch of records")
        })?;
        Ok(())
    })
}

impl Account {
    fn allow(&self, name: &str, bytes: u64) -> Result<(), String> {
        if bytes <= self.call_bytes_max {
            return Ok(());
        }
        let limit = self.call_bytes_max;
        Err(if limit == CONSTANT_BYTES_MAX {
            format!("`{name}` would make a constant of {bytes} bytes; the limit is {limit}")
        } else {
            format!("`{name}` would make {bytes} bytes for a batch of records; the limit is {limit}")
        })
    }
}

/// Outside of a run there is nothing to count: only tests of single functions get there.
fn account(check: impl FnOnce(&mut Account) -> Result<(), String>) -> Result<()> {
    ACCOUNT.with_borrow_mut(|account| {
        let Some(account) = account else { return Ok(()) };
        check(account).map_err(|message| {
            let exceeded = LimitExceeded(message);
            account.exceeded.get_or_insert(exceeded.clone());
            DataFusionError::External(Box::new(exceeded))
        })
    })
}
