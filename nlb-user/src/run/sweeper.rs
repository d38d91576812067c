//! Sweeps the flow tables, on a thread of its own: a sweep of full tables takes longer than a request should wait.

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tracing::{debug, error};

use crate::{
    cli::failure,
    dataplane::{self, FlowTables},
};

/// The shortest time between two sweeps.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(5);

/// What a sweep found.
pub struct Swept {
    /// Indices of targets that flows use.
    pub live_targets: HashSet<u32>,
    /// When it began.
    pub began: Instant,
}

/// Sweeps until the receiver is dropped.
///
/// # Errors
/// If the system gives no thread.
pub fn start(flows: FlowTables) -> std::io::Result<mpsc::Receiver<Swept>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::Builder::new().name("sweeper".to_owned()).spawn(move || sweep(&flows, &sender))?;
    Ok(receiver)
}

fn sweep(flows: &FlowTables, sender: &mpsc::Sender<Swept>) {
    let mut trouble = false;
    while !sender.is_closed() {
        let began = Instant::now();
        match flows.sweep(dataplane::now()) {
            Ok(sweep) => {
                trouble = false;
                debug!(
                    "{} TCP, {} half-open, {} UDP flows, {} removed",
                    sweep.tcp, sweep.half_open, sweep.udp, sweep.removed
                );
                if sender.blocking_send(Swept { live_targets: sweep.live_targets, began }).is_err() {
                    return;
                }
            }
            Err(error) if !trouble => {
                trouble = true;
                error!("flows are not swept: {}", failure::text(&error));
            }
            Err(_) => {}
        }
        // At most a tenth of a processor.
        thread::sleep((9 * began.elapsed()).clamp(PERIOD, LONGEST));
    }
}
