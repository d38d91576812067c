//! Calls of the API, on their way to the loop or answered from the view.

use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::view::View;
use crate::{
    api,
    control::{Answer, Request, server::Call},
    model::{Code, Fault},
    ops,
};

/// Runs calls: those that only look on the view, the others in the loop.
#[derive(Clone)]
pub struct Backend {
    calls: mpsc::Sender<Call>,
    view: Arc<OnceLock<watch::Receiver<Arc<View>>>>,
}

impl Backend {
    /// Sends to the loop; nobody is answered before it is [`Self::ready`].
    pub fn new(calls: mpsc::Sender<Call>) -> Self {
        Self { calls, view: Arc::default() }
    }

    /// The loop runs, and this is what it shows.
    pub fn ready(&self, view: watch::Receiver<Arc<View>>) {
        // It becomes ready once.
        let _ = self.view.set(view);
    }

    /// The way to the loop.
    pub fn calls(&self) -> mpsc::Sender<Call> {
        self.calls.clone()
    }

    async fn ask(&self, operation: String, input: Value) -> Answer {
        let Some(view) = self.view.get() else { return unavailable("the controller is starting") };
        if ops::only_looks(&operation) {
            let view = Arc::clone(&view.borrow());
            return look(&view, &operation, &input);
        }
        let (sender, receiver) = oneshot::channel();
        let call = Call { request: Request::Call { operation, input }, answer: sender, patient: false };
        match self.calls.send(call).await {
            Ok(()) => receiver.await.unwrap_or_else(|_| unavailable("the controller is stopping")),
            Err(_) => unavailable("the controller is stopping"),
        }
    }
}

impl api::Backend for Backend {
    async fn call(&self, operation: String, input: Value) -> Result<api::Answer, Fault> {
        if ops::is_local(&operation) {
            return Err(ops::unknown(&operation));
        }
        match self.ask(operation, input).await {
            Answer::Done { output, warnings } => Ok(api::Answer { output, warnings }),
            Answer::Fault { code, message } => {
                Err(Fault::new(Code::from_text(&code).unwrap_or(Code::InternalFailure), message))
            }
            _ => Err(Fault::new(Code::InternalFailure, "the controller answered another question")),
        }
    }
}

/// The answer to a call that only looks.
pub fn look(view: &View, operation: &str, input: &Value) -> Answer {
    match ops::run(&view.state, operation, input, &view.context(Timestamp::now())) {
        Ok(done) => Answer::Done { output: done.output, warnings: Vec::new() },
        Err(refusal) => fault(&refusal),
    }
}

fn unavailable(why: &str) -> Answer {
    fault(&Fault::new(Code::ServiceUnavailable, format!("{why}; try again soon")))
}

fn fault(fault: &Fault) -> Answer {
    Answer::Fault { code: fault.code.to_string(), message: fault.message.clone() }
}
