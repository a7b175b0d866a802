//! What a server's monitoring page says and no client is told: whether it waits for its disk before it acknowledges.
//!
//! Receives the addresses that were configured. `/varz` of nats-server 2.15 has `sync_always` among JetStream's settings; the
//! same through `$SYS.REQ.SERVER` needs the servers' system account, which a farm's roles should not have.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::future::{Either, join_all, select};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Broker, Cause, chain};

/// A page is some 5 KiB; one of far more is none of a NATS server.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// What NATS servers' monitoring usually listens on.
const DEFAULT_PORT: u16 = 8222;

/// Whether what is acknowledged survives, as far as the servers' monitoring says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durability {
    /// False when a server does not wait for its disk. True when all that keep the stream do. None when not all of them are
    /// known: no monitoring is configured, or it does not answer.
    pub durable: Option<bool>,
    /// What is wrong, each in a sentence that says what to do.
    pub wrong: Vec<String>,
}

/// What is read of a page.
#[derive(Debug, Deserialize)]
struct Page {
    server_name: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
struct JetStream {
    config: Option<Settings>,
}

#[derive(Debug, Deserialize)]
struct Settings {
    /// Left out when it is not so.
    #[serde(default)]
    sync_always: bool,
}

impl Broker {
    /// Asks every server whose monitoring is configured. `kept_by` names the servers that keep the stream.
    pub async fn durability(&self, kept_by: &[String]) -> Durability {
        let asked = self.monitoring.iter().map(|address| async move {
            let page = timeout(self.timeout, page(address)).await;
            (address, page.unwrap_or_else(|slow| Err(slow.into())))
        });
        judge(kept_by, join_all(asked).await)
    }
}

fn judge(kept_by: &[String], pages: Vec<(&String, Result<Page, Cause>)>) -> Durability {
    let mut wrong = Vec::new();
    let (mut synced, mut is_unsynced) = (BTreeSet::new(), false);
    for (address, page) in pages {
        match page {
            Err(error) => wrong.push(format!(
                "the monitoring of a NATS server at {address} cannot be read: {}",
                chain(error.as_ref())
            )),
            Ok(Page {
                server_name,
                jetstream,
            }) => match jetstream.config {
                Some(Settings { sync_always: true }) => {
                    synced.insert(server_name);
                }
                Some(Settings { sync_always: false }) => {
                    is_unsynced = true;
                    wrong.push(format!(
                        "the NATS server {server_name} at {address} acknowledges before its disk has what it was sent: \
                         write `jetstream {{ sync_interval: always }}` into its configuration and start it again"
                    ));
                }
                None => wrong.push(format!(
                    "the NATS server {server_name} at {address} has JetStream switched off"
                )),
            },
        }
    }
    let is_complete = !kept_by.is_empty() && kept_by.iter().all(|name| synced.contains(name));
    let durable = match (is_unsynced, is_complete) {
        (true, _) => Some(false),
        (false, true) => Some(true),
        (false, false) => None,
    };
    Durability { durable, wrong }
}

/// One GET, over a connection of its own.
async fn page(address: &str) -> Result<Page, Cause> {
    let uri: Uri = format!("{}/varz", address.trim_end_matches('/')).parse()?;
    if uri.scheme_str() != Some("http") {
        return Err("only `http://host:port` is understood".into());
    }
    let authority = uri.authority().ok_or("it has no host")?.clone();
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(DEFAULT_PORT);
    let socket = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let request = Request::get(uri.path())
        .header(header::HOST, authority.as_str())
        .body(Empty::<Bytes>::new())?;
    let asked = Box::pin(async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), PAGE_BYTES_MAX);
        Ok::<_, Cause>((status, body.collect().await?.to_bytes()))
    });
    let (status, body) = match select(asked, connection).await {
        Either::Left((answered, _connection)) => answered?,
        // Closed by the server after its answer, which may wait to be read.
        Either::Right((closed, asked)) => {
            closed?;
            asked.await?
        }
    };
    if status != StatusCode::OK {
        return Err(format!("it answers {status}").into());
    }
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str, sync_always: Option<bool>) -> Page {
        Page {
            server_name: name.into(),
            jetstream: JetStream {
                config: sync_always.map(|sync_always| Settings { sync_always }),
            },
        }
    }

    fn judged(kept_by: &[&str], pages: Vec<Result<Page, Cause>>) -> Durability {
        let address = "http://a:1".to_owned();
        let pages = pages.into_iter().map(|page| (&address, page)).collect();
        let kept_by: Vec<String> = kept_by.iter().map(ToString::to_string).collect();
        judge(&kept_by, pages)
    }

    #[test]
    fn a_stream_is_durable_when_all_servers_that_keep_it_wait_for_their_disks() {
        let always = |name| Ok(page(name, Some(true)));
        let all = judged(&["a", "b"], vec![always("a"), always("b"), always("c")]);
        assert_eq!((all.durable, all.wrong), (Some(true), vec![]));
        let some = judged(&["a", "b"], vec![always("a")]);
        assert_eq!((some.durable, some.wrong), (None, vec![]));
        assert_eq!(judged(&[], vec![always("a")]).durable, None);
        let lazy = judged(&["a"], vec![always("a"), Ok(page("b", Some(false)))]);
        assert_eq!(lazy.durable, Some(false));
        assert!(
            lazy.wrong[0].contains("sync_interval: always"),
            "{:?}",
            lazy.wrong
        );
    }

    #[test]
    fn a_server_that_is_silent_or_has_no_jetstream_is_named() {
        let silent = judged(&["a"], vec![Err("no".into())]);
        assert_eq!(silent.durable, None);
        assert!(silent.wrong[0].contains("http://a:1"), "{:?}", silent.wrong);
        let off = judged(&["a"], vec![Ok(page("a", None))]);
        assert_eq!(off.durable, None);
        assert!(off.wrong[0].contains("switched off"), "{:?}", off.wrong);
    }
}
