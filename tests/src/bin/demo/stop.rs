//! Ctrl-C, `kill` and a terminal that is closed: the demo ends at its next step, and takes down what it has built.

use std::{
    fmt::Arguments,
    io::{Write as _, stdout},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(_signal: libc::c_int) {
    ASKED.store(true, Ordering::Relaxed);
}

/// From here on SIGINT, SIGTERM and SIGHUP are requests. Children start with the defaults again.
pub fn listen() -> Result<()> {
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only writes to an atomic.
        unsafe { sigaction(signal, &action) }.context("cannot listen to signals")?;
    }
    Ok(())
}

/// Whether somebody asked.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Fails if somebody asked.
pub fn check() -> Result<()> {
    if asked() {
        bail!("stopped; everything is removed");
    }
    Ok(())
}

/// Prints a line, as `println!` does. Nobody left to read it is a request to stop, too.
macro_rules! say {
    ($($line:tt)*) => { $crate::stop::print(format_args!($($line)*)) };
}
pub(crate) use say;

/// What [`say!`] calls.
pub fn print(line: Arguments<'_>) {
    if writeln!(stdout(), "{line}").is_err() {
        ASKED.store(true, Ordering::Relaxed);
    }
}
