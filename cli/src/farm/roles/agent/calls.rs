//! Calls that the host signs. Each has a counter of its own, so one that failed is made anew and not sent again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use bytes::Bytes;
use croft_keys::{Caller, HostCall, Signable, Signer, UNKNOWN_RUN};
use croft_proto::deploy::Enrolling;
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::farm::client::{Call, Farm};

/// The word of a server's run, in its answers.
const SERVER_RUN: &str = "croft-server-run";
/// Servers behind one address that a call is made anew for, one after the other.
const RUNS_TRIED_MAX: u32 = 8;

/// A farm that can be asked as a host of it.
pub(super) struct Calls {
    farm: Farm,
    signer: Signer,
    host: String,
    /// Of the last call: microseconds since 1970, or one more than that of the call before.
    counter: AtomicU64,
    /// The word of the server that was asked last.
    run: Mutex<String>,
}

impl Calls {
    pub(super) fn new(mut farm: Farm, signer: Signer, host: String) -> Self {
        // It has no token, and another's is none of its business.
        farm.connection.token = None;
        Self {
            farm,
            signer,
            host,
            counter: AtomicU64::new(0),
            run: Mutex::new(UNKNOWN_RUN.to_string()),
        }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn server(&self) -> String {
        self.farm.connection.server.to_string()
    }

    /// Asks for what is `/v1/agent/<what>` with that body.
    pub(super) async fn json<T: DeserializeOwned>(
        &self,
        what: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let body = serde_json::to_vec(body)?;
        let answer = self
            .open(Method::POST, &[what], "application/json", body.into())
            .await?;
        let bytes = self.farm.whole(answer).await?;
        Ok(self.farm.understood(&bytes)?)
    }

    /// The same with bytes.
    pub(super) async fn bytes(
        &self,
        method: Method,
        path: &[&str],
        body: Bytes,
    ) -> anyhow::Result<Bytes> {
        let answer = self.opened(method, path, body).await?;
        Ok(self.farm.whole(answer).await?)
    }

    /// The same, its answer not yet read.
    pub(super) async fn opened(
        &self,
        method: Method,
        path: &[&str],
        body: Bytes,
    ) -> anyhow::Result<Response> {
        self.open(method, path, "application/octet-stream", body)
            .await
    }

    async fn open(
        &self,
        method: Method,
        path: &[&str],
        kind: &'static str,
        body: Bytes,
    ) -> anyhow::Result<Response> {
        let path = [&["v1", "agent"], path].concat();
        let line = format!("/{}", path.join("/"));
        for _ in 0..RUNS_TRIED_MAX {
            let signable = Signable {
                method: method.as_str(),
                path: &line,
                body: &body,
            };
            let run = self.run().clone();
            let from = Caller {
                host: &self.host,
                counter: self.next(),
                run: &run,
            };
            let said = HostCall::sign(&self.signer, from, signable);
            let call = Call::new(method.clone(), &path)
                .header("authorization", said.to_string())
                .body(kind, body.clone());
            let answer = self.farm.sent(&call).await?;
            let heard = answer.headers().get(SERVER_RUN);
            let heard = heard
                .and_then(|word| word.to_str().ok())
                .map(str::to_string);
            let is_another = heard.as_ref().is_some_and(|heard| *heard != run);
            if let Some(heard) = heard {
                *self.run() = heard;
            }
            if answer.status() != StatusCode::UNAUTHORIZED || !is_another {
                return Ok(self.farm.granted(answer).await?);
            }
        }
        anyhow::bail!(
            "{} is another server each time, and none takes a call that is signed for the one before: let a host's calls go to one server for a while",
            self.server()
        )
    }

    fn run(&self) -> std::sync::MutexGuard<'_, String> {
        self.run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> u64 {
        let now = crate::surroundings::now().millis().saturating_mul(1000);
        let next = |last: u64| Some(now.max(last + 1));
        let last = self
            .counter
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let (Ok(last) | Err(last)) = last;
        now.max(last + 1)
    }
}

/// Makes the host one of the farm's.
pub(super) async fn enrol(farm: &Farm, enrolling: &Enrolling) -> anyhow::Result<()> {
    let body = serde_json::to_value(enrolling)?;
    let call = Call::new(Method::POST, &["v1", "agent", "enrolments"]).json(&body);
    let answered = farm.bytes(&call).await;
    answered
        .map(drop)
        .context("the farm does not let this host in")
}
